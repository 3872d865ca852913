/* CRC-32C (Castagnoli; RFC 3720, appendix B.4): the check sum of TensorBoard's records. */
#ifndef WEN_BASE_CRC32C_H
#define WEN_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(const void *data, size_t bytes);

#endif
