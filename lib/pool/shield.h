/* SPDX-License-Identifier: MIT */
#ifndef ASYNCTOOLS_POOL_SHIELD_H
#define ASYNCTOOLS_POOL_SHIELD_H

/* The operation of a function that cleans up: the cancellation of the one around it reaches it only
 * after a grace, whether that was cancelled before or is while the function runs. See shield.c. */
#include "base/context.h"

typedef struct ati_shield ati_shield;

/* Makes one in `outer`, kept by the caller until the end. NULL: no memory. */
ati_shield *ati_shield_begin(ati_context *outer);

/* The operation, borrowed until the end. */
ati_context *ati_shield_context(const ati_shield *shield);

/* The function has returned, and its task is under another operation. May wait for a moment. */
void ati_shield_end(ati_shield *shield);

#endif
