/* peak_amx.c - TDPBUSD and TDPBF16PS on four accumulator tiles. See peak.h. */
#if defined(__x86_64__)

#include <immintrin.h>

#include "kernel/peak.h"

/* Eight tiles of 16 rows by 64 bytes, zeroed. */
static void begin(void)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config __attribute__((aligned(64))) = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = 64;
        config.rows[i] = 16;
    }
    __asm__ volatile("" : : "r"(&config) : "memory"); /* GCC 12 thinks that only eight bytes of it are read */
    _tile_loadconfig(&config);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    _tile_zero(6);
    _tile_zero(7);
}

void k_peak_i8_amx(uint64_t turns)
{
    begin();
    for (uint64_t i = 0; i < turns; i++) {
        _tile_dpbusd(0, 4, 6);
        _tile_dpbusd(1, 4, 7);
        _tile_dpbusd(2, 5, 6);
        _tile_dpbusd(3, 5, 7);
    }
    _tile_release();
}

void k_peak_bf16_amx(uint64_t turns)
{
    begin();
    for (uint64_t i = 0; i < turns; i++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_release();
}

#else
typedef int hd_not_this_machine;
#endif
