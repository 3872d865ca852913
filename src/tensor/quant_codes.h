/* Numbers that quantized types are spelled in: the code books of the types whose codes are not
 * evenly spaced, and the small floats. */
#ifndef WEN_TENSOR_QUANT_CODES_H
#define WEN_TENSOR_QUANT_CODES_H

#include <stdint.h>

#include "base/half.h"

/* IQ4_NL and IQ4_XS (ggml-common.h, kvalues_iq4nl). */
extern const int8_t IQ4_VALUES[16];
/* MXFP4: twice the number of an E2M1 code (OCP Microscaling Formats 1.0, 5.3.3). */
extern const int8_t E2M1_VALUES[16];

/* Half of 2^(e - 127), the scale that goes with E2M1_VALUES; 2^127 for E8M0's NaN, as in ggml. */
static inline float e8m0_half(uint8_t e)
{
    return float_from_bits(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23);
}

/* E4M3 without infinities (OCP 8-bit Floating Point 1.0): 1, 4 and 3 bits, bias 7. The exponent is
 * moved by a product with a power of two, which is exact for subnormals, too. The codes 0x7f and
 * 0xff are NaN and give 480, so readers refuse them. */
enum { E4M3_NAN = 0x7f };
static inline float e4m3_to_float(uint8_t code)
{
    return float_from_bits((uint32_t)(code & 0x80) << 24 | (uint32_t)(code & 0x7f) << 20) *
           0x1p120f;
}

/* The nearest of them, ties to even; above 448 the largest. */
uint8_t e4m3_from_float(float v);

#endif
