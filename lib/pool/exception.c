/* SPDX-License-Identifier: MIT */
#include "pool/exception.h"

#include "base/check.h"
#include "base/frame.h"
#include "pool/worker.h"

#include <stdio.h>

/* pthread_exit and cancellation unwind too; they look for no handler and pass. */
_Unwind_Reason_Code ati_stop_exception(int version, _Unwind_Action actions,
                                       _Unwind_Exception_Class exception_class,
                                       struct _Unwind_Exception *exception,
                                       struct _Unwind_Context *context) {
    (void)version;
    (void)exception_class;
    (void)exception;
    (void)context;
    if (!(actions & _UA_SEARCH_PHASE))
        return _URC_CONTINUE_UNWIND;
    char sentence[200];
    snprintf(sentence, sizeof sentence,
             "an exception may not leave the function of a task, here %s; catch it there",
             ati_task_name_of(ati_frame_current()));
    ati_caller_abort("task", sentence);
}
