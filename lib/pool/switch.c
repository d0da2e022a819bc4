/* SPDX-License-Identifier: MIT */
#include "pool/switch.h"

#if ATI_SWITCH_UCONTEXT

#include <string.h>

void ati_switch_init(ati_switch_point *home) {
    fegetenv(&home->control);
}

/* makecontext passes integers only; two of them hold a pointer everywhere. */
static void begin(unsigned high, unsigned low) {
    uint64_t address = (uint64_t)high << 32 | low;
    ati_switch_point *point;
    memcpy(&point, &address, sizeof point);
    fesetenv(&point->control);
    point->entry(point);
}

void ati_switch_prepare(ati_switch_point *point, const ati_switch_point *home, char *lowest,
                        size_t size, void (*entry)(ati_switch_point *point)) {
    point->control = home->control;
    point->entry = entry;
    getcontext(&point->context);
    point->context.uc_stack.ss_sp = lowest;
    point->context.uc_stack.ss_size = size;
    point->context.uc_link = NULL;
    uint64_t address = (uintptr_t)point;
    makecontext(&point->context, (void (*)(void))begin, 2, (unsigned)(address >> 32),
                (unsigned)address);
}

void ati_switch(ati_switch_point *from, ati_switch_point *to) {
    swapcontext(&from->context, &to->context);
}

#else

/* In switch.S. */
void ati_switch_begin(void) __attribute__((visibility("hidden")));

/* What ati_switch pops when a stack begins. */
#if defined(__x86_64__)

typedef struct first_frame {
    uint64_t control;
    uint64_t r15_r14[2];
    void (*entry)(ati_switch_point *point); /* r13 */
    void *argument;                         /* r12 */
    uint64_t rbx_rbp[2];
    void (*begin)(void);
} first_frame;

static uint64_t read_control(void) {
    uint32_t mxcsr;
    uint16_t x87;
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(x87));
    return mxcsr | (uint64_t)x87 << 32;
}

#else

typedef struct first_frame {
    void *argument;                         /* x19 */
    void (*entry)(ati_switch_point *point); /* x20 */
    uint64_t x21_to_x28[8];
    uint64_t x29;
    void (*begin)(void); /* x30 */
    uint64_t d8_to_d15[8];
    uint64_t control;
    uint64_t unused;
} first_frame;

static uint64_t read_control(void) {
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return fpcr;
}

#endif

void ati_switch_init(ati_switch_point *home) {
    home->control = read_control();
}

void ati_switch_prepare(ati_switch_point *point, const ati_switch_point *home, char *lowest,
                        size_t size, void (*entry)(ati_switch_point *point)) {
    char *top = lowest + size;
    first_frame *frame = (first_frame *)(top - (uintptr_t)top % 16) - 1;
    *frame = (first_frame){
        .control = home->control,
        .entry = entry,
        .argument = point,
        .begin = ati_switch_begin,
    };
    point->stack_pointer = frame;
}

#endif
