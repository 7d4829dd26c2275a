/* amx_tiles.h - the shape of the tile registers. */
#ifndef HD_KERNEL_AMX_TILES_H
#define HD_KERNEL_AMX_TILES_H

#include <stdint.h>

/* What LDTILECFG reads: palette 1, up to eight tiles of up to 16 rows of 64 bytes. */
typedef struct amx_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} amx_config;
_Static_assert(sizeof(amx_config) == 64, "Intel SDM volume 2, LDTILECFG");

/* Gives every tile 64-byte rows, and as many as rows[] says (at least 1). */
static inline void amx_configure(const int rows[8])
{
    amx_config config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.rows[i] = (uint8_t)(rows[i] > 0 ? rows[i] : 1);
        config.row_bytes[i] = 64;
    }
    /* As assembly: GCC 12's _tile_loadconfig claims to read eight bytes, and the rest may be written too late. */
    __asm__ volatile("ldtilecfg %0" : : "m"(config));
}

#endif
