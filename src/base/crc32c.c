/* See crc32c.h. Bit by bit: it runs over a few hundred bytes a training step. */
#include "base/crc32c.h"

uint32_t crc32c(const void *data, size_t bytes)
{
    const uint32_t polynomial = 0x82f63b78; /* reflected */
    const uint8_t *at = data;
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ polynomial : crc >> 1;
    }
    return ~crc;
}
