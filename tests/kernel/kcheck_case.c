/* kcheck_case.c - see kcheck.h. */
#include "kcheck.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FAILURES_SHOWN 6
#define SLACK_BYTE 0xa5
#define EMULATED_GAP 512 /* a masked vector may lie wholly past the end */

const char *const kc_data_names[KC_DATA_COUNT] = {"normal", "wide", "denormal", "zero", "constant"};

void kc_case_end(kc *c)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < c->n_blocks; i++) {
        const kc_block *b = &c->blocks[i];
        const uint8_t *end = b->map + b->map_bytes - page;
        for (const uint8_t *p = b->map + page; p < end; p++) {
            if (p == b->data)
                p += b->bytes;
            if (p < end && *p != SLACK_BYTE) {
                kc_fail(c, "wrote %td bytes from the start of buffer %zu of %zu bytes", p - b->data, i, b->bytes);
                break;
            }
        }
        munmap(b->map, b->map_bytes);
    }
    c->n_blocks = 0;
}

bool kc_case(kc *c, const char *format, ...)
{
    kc_case_end(c);
    if (c->shared->n_seen++ % (uint64_t)c->sample != 0)
        return false;
    va_list args;
    va_start(args, format);
    vsnprintf(c->shared->what, sizeof c->shared->what, format, args);
    va_end(args);
    c->shared->n_cases++;
    c->at_begin = !c->at_begin;
    return true;
}

static void *guarded(kc *c, size_t bytes, size_t align, size_t skew)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t gap = c->emulated ? EMULATED_GAP : 0, room = (bytes + skew + align + 2 * gap + page - 1) / page * page;
    kc_block *b = &c->blocks[c->n_blocks++];
    if (c->n_blocks > sizeof c->blocks / sizeof c->blocks[0])
        abort();
    b->map_bytes = room + 2 * page;
    b->map = mmap(NULL, b->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (b->map == MAP_FAILED) {
        perror("kcheck: mmap");
        exit(2);
    }
    mprotect(b->map, page, PROT_NONE);
    mprotect(b->map + page + room, page, PROT_NONE);
    uint8_t *first = b->map + page;
    b->data = first + skew + (c->at_begin ? gap : (room - bytes - skew - gap) / align * align);
    b->bytes = bytes;
    memset(first, SLACK_BYTE, room);
    memset(b->data, 0xff, bytes);
    return b->data;
}

void *kc_buffer(kc *c, size_t bytes, size_t align)
{
    return guarded(c, bytes, align, 0);
}

void *kc_buffer_skewed(kc *c, size_t bytes, size_t skew)
{
    return guarded(c, bytes, 64, skew);
}

void kc_fail(kc *c, const char *format, ...)
{
    if (c->shared->n_failed++ >= FAILURES_SHOWN)
        return;
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    printf("FAIL %s: %s: %s\n", c->row->symbol, c->shared->what, text);
    fflush(stdout);
}

void kc_near(kc *c, const char *name, int i, int j, double got, double want, double bound)
{
    c->shared->n_values++;
    if ((isnan(got) && isnan(want)) || got == want)
        return;
    double error = fabs(got - want);
    if (!(error <= bound)) {
        kc_fail(c, "%s[%d, %d] is %.9g, should be %.9g within %.3g", name, i, j, got, want, bound);
        return;
    }
    if (error > c->shared->worst * bound)
        c->shared->worst = error / bound;
}

void kc_same(kc *c, const char *name, const void *got, const void *want, size_t bytes)
{
    c->shared->n_values++;
    if (memcmp(got, want, bytes) == 0)
        return;
    const uint8_t *g = got, *w = want;
    size_t i = 0;
    while (g[i] == w[i])
        i++;
    kc_fail(c, "%s differs from byte %zu of %zu on", name, i, bytes);
}

/* SplitMix64 (Steele, Lea & Flood 2014). */
uint64_t kc_random(kc *c)
{
    uint64_t z = c->rng += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

int kc_below(kc *c, int n)
{
    return (int)(kc_random(c) % (uint64_t)n);
}

double kc_uniform(kc *c)
{
    return (double)(kc_random(c) >> 11) * 0x1p-53;
}

/* The sum of twelve uniforms, less 6: near enough to a normal, without its far tails. In whole numbers, for emulators. */
double kc_normal(kc *c)
{
    uint64_t sum = 0;
    for (int i = 0; i < 3; i++) {
        uint64_t bits = kc_random(c);
        for (int part = 0; part < 4; part++, bits >>= 16)
            sum += bits & 0xffff;
    }
    return (double)sum * 0x1p-16 - 6.0;
}

float kc_value(kc *c, kc_data data)
{
    switch (data) {
    case KC_NORMAL: return (float)kc_normal(c);
    case KC_WIDE: return (float)ldexp(kc_normal(c), kc_below(c, 24) - 12);
    case KC_DENORMAL: return (float)(kc_normal(c) * (kc_below(c, 8) == 0 ? 1.0 : 1e-39));
    case KC_ZERO: return kc_below(c, 2) != 0 ? 0.0f : -0.0f;
    case KC_CONSTANT: return 0.7f;
    case KC_DATA_COUNT: break;
    }
    return 0.0f;
}

void kc_fill(kc *c, kc_data data, float *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        values[i] = kc_value(c, data);
}
