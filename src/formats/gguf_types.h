/* Inside formats/: ggml's element types by number (ggml.h, enum ggml_type), also those not read. */
#ifndef WEN_FORMATS_GGUF_TYPES_H
#define WEN_FORMATS_GGUF_TYPES_H

#include <stdint.h>

/* "Q4_K", "IQ2_XXS"; NULL for a number that has no type. */
const char *gguf_type_name(uint32_t ggml_id);

#endif
