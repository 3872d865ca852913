/* Inside tensor/: the search for scales. A group of up to 32 numbers is approximated either by
 * scale * q with whole q in [q_low, q_high], or by step * q + offset with q in [0, q_high]; each
 * function judges by the exact squared error, number i counting w[i] times (>= 0). n is a multiple
 * of 8. */
#ifndef WEN_TENSOR_QUANT_SEARCH_H
#define WEN_TENSOR_QUANT_SEARCH_H

#include <stdint.h>

/* Squared error with the best q for each number. */
float scale_error(const float *x, const float *w, int n, float scale, int q_low, int q_high);
float affine_error(const float *x, const float *w, int n, float step, float offset, int q_high);

/* The best q of each number, as -q_low-based codes: q - q_low (so 0 .. q_high - q_low). */
void scale_codes(const float *x, int n, float scale, int q_low, int q_high, uint8_t *codes);
void affine_codes(const float *x, int n, float step, float offset, int q_high, uint8_t *codes);

/* The scale (of either sign) with nearly the least error; 0 for all zeros. */
float scale_fit(const float *x, const float *w, int n, int q_low, int q_high);
/* Step (>= 0) and offset with nearly the least error. */
void affine_fit(const float *x, const float *w, int n, int q_high, float *step, float *offset);

/* The numbers that scales are drawn from: the one furthest from zero, and the one that counts most,
 * which is the same where all weights are. Returns how many. */
int extremes_of(const float *x, const float *w, int n, float extremes[2]);

/* The half nearest to v, never an infinity. */
uint16_t half_saturated(float v);

#endif
