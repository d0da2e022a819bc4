/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_EXCEPTION_H
#define ASYNCTOOLS_POOL_EXCEPTION_H

/* A C++ exception that leaves a function of the program is a caller's bug: the frames below are
 * those of C functions, which it would pass by, up to a handler in a task that waits further down
 * the stack, or to the end of the stack.
 *
 * ATI_STOP_EXCEPTIONS, in a function that calls such a function, says so in the tables that an
 * unwinder reads, and costs nothing until an exception is thrown. The unwinder looks for a handler
 * before it unwinds anything; when it comes by, ati_stop_exception ends the process with a sentence
 * that names the task. Where the compiler does not write such tables as directives, the runtime of
 * C++ ends the process in its own way, unless it finds a handler. */
#include <unwind.h>

#if defined(__GCC_HAVE_DWARF2_CFI_ASM) && (defined(__x86_64__) || defined(__aarch64__))

#if defined(__aarch64__)
#define ATI_ADDRESS "S"
#else
#define ATI_ADDRESS "i"
#endif

/* 0x1b: the address is written as its signed distance, in four bytes. */
#define ATI_STOP_EXCEPTIONS                                                                        \
    __asm__ volatile(".cfi_personality 0x1b, %c0" ::ATI_ADDRESS(ati_stop_exception))

#else
#define ATI_STOP_EXCEPTIONS ((void)0)
#endif

/* What the unwinder calls. */
__attribute__((visibility("hidden"))) _Unwind_Reason_Code
ati_stop_exception(int version, _Unwind_Action actions, _Unwind_Exception_Class exception_class,
                   struct _Unwind_Exception *exception, struct _Unwind_Context *context);

#endif
