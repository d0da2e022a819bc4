/* SPDX-License-Identifier: MIT
 *
 * void ati_switch(ati_switch_point *from, ati_switch_point *to)
 *     pushes what a call keeps, stores the stack pointer in *from, loads that of *to, pops.
 * ati_switch_begin
 *     where a fresh stack comes out: calls its entry, found in saved registers.
 *
 * Both stacks have the same layout while the stack pointer changes, so the unwind information holds
 * at every instruction. In ati_switch_begin the return address is undefined and the frame pointer
 * zero: unwinders of both kinds stop there.
 *
 * Both end with a return, not with a jump to the address: the CPU predicts a return from its own
 * stack of calls, and that is right as long as both stacks came through the same calls, which
 * nearly all do (they wait). A jump leaves one entry too many on that stack, after which every
 * return further out is predicted wrong: 28 to 38 ns for a switch instead of 6 to 9. */

#if !defined(ATI_SWITCH_UCONTEXT)
#define ATI_SWITCH_UCONTEXT 0
#endif

#if ATI_SWITCH_UCONTEXT

#elif defined(__x86_64__)

#if defined(__CET__) && (__CET__ & 1)
#define TARGET endbr64
#else
#define TARGET
#endif

/* The frame, from the stack pointer up: mxcsr and x87 control word (8 bytes), r15, r14, r13, r12,
 * rbx, rbp, return address. ati_switch_prepare builds the same. */

    .text
    .globl ati_switch
    .hidden ati_switch
    .type ati_switch, @function
    .p2align 6
ati_switch:
    .cfi_startproc
    TARGET
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbp, 0
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    pushq %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r12, 0
    pushq %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r13, 0
    pushq %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r14, 0
    pushq %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r15, 0
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    movl (%rsp), %eax
    movzwl 4(%rsp), %edx

    movq %rsp, (%rdi)
    movq (%rsi), %rsp

    /* To write them takes ten times as long as all else, and they rarely differ but in the status
     * flags, the low six bits of mxcsr. */
    xorl (%rsp), %eax
    andl $~0x3f, %eax
    xorw 4(%rsp), %dx
    orl %edx, %eax
    jne 2f
1:
    .cfi_remember_state
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    popq %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r15
    popq %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r14
    popq %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r13
    popq %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r12
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    popq %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbp
    ret

2:
    .cfi_restore_state
    ldmxcsr (%rsp)
    fldcw 4(%rsp)
    jmp 1b
    .cfi_endproc
    .size ati_switch, . - ati_switch

    .globl ati_switch_begin
    .hidden ati_switch_begin
    .type ati_switch_begin, @function
    .p2align 4
    .cfi_startproc
    .cfi_undefined %rip
    nop /* unwinders look at the byte before a return address */
ati_switch_begin:
    TARGET
    movq %r12, %rdi
    callq *%r13
    ud2
    .cfi_endproc
    .size ati_switch_begin, . - ati_switch_begin

#if defined(__CET__) && (__CET__ & 1)
    .section .note.gnu.property, "a", @note
    .p2align 3
    .long 4, 16, 5
    .asciz "GNU"
    .long 0xc0000002, 4, 1, 0 /* x86 features: indirect branch tracking */
#endif

#elif defined(__aarch64__)

#define SAVED 176

/* The frame, from the stack pointer up: x19 to x28, x29, x30, d8 to d15, fpcr, 8 bytes unused.
 * ati_switch_prepare builds the same. */

    .text
    .globl ati_switch
    .hidden ati_switch
    .type ati_switch, %function
    .p2align 6
ati_switch:
    .cfi_startproc
    hint #34 /* bti c */
    sub sp, sp, #SAVED
    .cfi_adjust_cfa_offset SAVED
    stp x19, x20, [sp, #0]
    .cfi_rel_offset x19, 0
    .cfi_rel_offset x20, 8
    stp x21, x22, [sp, #16]
    .cfi_rel_offset x21, 16
    .cfi_rel_offset x22, 24
    stp x23, x24, [sp, #32]
    .cfi_rel_offset x23, 32
    .cfi_rel_offset x24, 40
    stp x25, x26, [sp, #48]
    .cfi_rel_offset x25, 48
    .cfi_rel_offset x26, 56
    stp x27, x28, [sp, #64]
    .cfi_rel_offset x27, 64
    .cfi_rel_offset x28, 72
    stp x29, x30, [sp, #80]
    .cfi_rel_offset x29, 80
    .cfi_rel_offset x30, 88
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mrs x10, fpcr
    str x10, [sp, #160]

    mov x9, sp
    str x9, [x0]
    ldr x9, [x1]
    mov sp, x9

    /* Writing the control register is slow, and it rarely differs. */
    ldr x9, [sp, #160]
    cmp x9, x10
    b.eq 1f
    msr fpcr, x9
1:
    ldp d14, d15, [sp, #144]
    ldp d12, d13, [sp, #128]
    ldp d10, d11, [sp, #112]
    ldp d8, d9, [sp, #96]
    ldp x29, x30, [sp, #80]
    .cfi_restore x29
    .cfi_restore x30
    ldp x27, x28, [sp, #64]
    .cfi_restore x27
    .cfi_restore x28
    ldp x25, x26, [sp, #48]
    .cfi_restore x25
    .cfi_restore x26
    ldp x23, x24, [sp, #32]
    .cfi_restore x23
    .cfi_restore x24
    ldp x21, x22, [sp, #16]
    .cfi_restore x21
    .cfi_restore x22
    ldp x19, x20, [sp, #0]
    .cfi_restore x19
    .cfi_restore x20
    add sp, sp, #SAVED
    .cfi_adjust_cfa_offset -SAVED
    ret
    .cfi_endproc
    .size ati_switch, . - ati_switch

    .globl ati_switch_begin
    .hidden ati_switch_begin
    .type ati_switch_begin, %function
    .p2align 4
    .cfi_startproc
    .cfi_undefined x30
    nop /* unwinders look at the instruction before a return address */
ati_switch_begin:
    mov x0, x19
    blr x20
    brk #1
    .cfi_endproc
    .size ati_switch_begin, . - ati_switch_begin

#if defined(__ARM_FEATURE_BTI_DEFAULT)
    .section .note.gnu.property, "a", %note
    .p2align 3
    .long 4, 16, 5
    .asciz "GNU"
    .long 0xc0000000, 4, 1, 0 /* ARM features: branch target identification */
#endif

#endif

    .section .note.GNU-stack, "", %progbits
