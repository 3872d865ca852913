/* The table of --profile: where the time of steps went, operation by operation. */
#ifndef WEN_CLI_PROFILE_PRINT_H
#define WEN_CLI_PROFILE_PRINT_H

#include "wen.h"

/* To standard error. Nothing when the model was opened without `profiles`. */
void profile_print(wen_model *model);

#endif
