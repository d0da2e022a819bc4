/* SPDX-License-Identifier: MIT
 *
 * Stands before lib/pool/exception.h on the include path of the models, which throw nothing. */
#ifndef MODEL_POOL_EXCEPTION_H
#define MODEL_POOL_EXCEPTION_H

#define ATI_STOP_EXCEPTIONS ((void)0)

#endif
