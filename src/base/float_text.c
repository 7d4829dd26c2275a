/* float_text.c - see float_text.h.
 *
 * Schubfach, after Raffaele Giulietti, "The Schubfach way to render doubles" (2021), for 24-bit significands.
 *
 * A float is c * 2^q. Every real between the midpoints to its neighbours reads back as it. With k chosen so
 * that 10^k just fits into that interval, the interval holds one or two multiples of 10^k and at most one of
 * 10^(k+1): the answer is among the two multiples around the value at each of the two scales, and comparing
 * suffices to find it. Lower bound, value and upper bound are scaled by 10^-k with 64-bit powers of ten; all
 * are kept in quarters, and "rounded to odd" (a sticky lowest bit), which keeps comparisons exact.
 */
#include "base/float_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define MIN_POWER (-31)
#define MAX_POWER 45

/* [i]: floor(10^e * 2^(63 - floor(log2(10^e)))) + 1 for e = MIN_POWER + i. */
static const uint64_t powers[MAX_POWER - MIN_POWER + 1] = {
    0x81CEB32C4B43FCF5, 0xA2425FF75E14FC32, 0xCAD2F7F5359A3B3F, 0xFD87B5F28300CA0E, 0x9E74D1B791E07E49, 0xC612062576589DDB,
    0xF79687AED3EEC552, 0x9ABE14CD44753B53, 0xC16D9A0095928A28, 0xF1C90080BAF72CB2, 0x971DA05074DA7BEF, 0xBCE5086492111AEB,
    0xEC1E4A7DB69561A6, 0x9392EE8E921D5D08, 0xB877AA3236A4B44A, 0xE69594BEC44DE15C, 0x901D7CF73AB0ACDA, 0xB424DC35095CD810,
    0xE12E13424BB40E14, 0x8CBCCC096F5088CC, 0xAFEBFF0BCB24AAFF, 0xDBE6FECEBDEDD5BF, 0x89705F4136B4A598, 0xABCC77118461CEFD,
    0xD6BF94D5E57A42BD, 0x8637BD05AF6C69B6, 0xA7C5AC471B478424, 0xD1B71758E219652C, 0x83126E978D4FDF3C, 0xA3D70A3D70A3D70B,
    0xCCCCCCCCCCCCCCCD, 0x8000000000000001, 0xA000000000000001, 0xC800000000000001, 0xFA00000000000001, 0x9C40000000000001,
    0xC350000000000001, 0xF424000000000001, 0x9896800000000001, 0xBEBC200000000001, 0xEE6B280000000001, 0x9502F90000000001,
    0xBA43B74000000001, 0xE8D4A51000000001, 0x9184E72A00000001, 0xB5E620F480000001, 0xE35FA931A0000001, 0x8E1BC9BF04000001,
    0xB1A2BC2EC5000001, 0xDE0B6B3A76400001, 0x8AC7230489E80001, 0xAD78EBC5AC620001, 0xD8D726B7177A8001, 0x878678326EAC9001,
    0xA968163F0A57B401, 0xD3C21BCECCEDA101, 0x84595161401484A1, 0xA56FA5B99019A5C9, 0xCECB8F27F4200F3B, 0x813F3978F8940985,
    0xA18F07D736B90BE6, 0xC9F2C9CD04674EDF, 0xFC6F7C4045812297, 0x9DC5ADA82B70B59E, 0xC5371912364CE306, 0xF684DF56C3E01BC7,
    0x9A130B963A6C115D, 0xC097CE7BC90715B4, 0xF0BDC21ABB48DB21, 0x96769950B50D88F5, 0xBC143FA4E250EB32, 0xEB194F8E1AE525FE,
    0x92EFD1B8D0CF37BF, 0xB7ABC627050305AE, 0xE596B7B0C643C71A, 0x8F7E32CE7BEA5C70, 0xB35DBF821AE4F38C,
};

/* Exact for the exponents of a float: the multipliers are log2(10), log10(2) and log10(3/4) in fixed point. */
static int floor_log2_pow10(int e)
{
    return (e * 1741647) >> 19;
}
static int floor_log10_pow2(int e)
{
    return (e * 1262611) >> 22;
}
static int floor_log10_three_quarters_pow2(int e)
{
    return (e * 1262611 - 524031) >> 22;
}

/* power * c / 2^64, the lowest bit set when anything below it was lost. */
static uint32_t scale_to_odd(uint64_t power, uint32_t c)
{
    uint64_t low = (power & 0xFFFFFFFFu) * c;
    uint64_t high = (power >> 32) * c + (low >> 32);
    return (uint32_t)(high >> 32) | ((uint32_t)high > 1);
}

typedef struct decimal {
    uint32_t digits;
    int exponent; /* value = digits * 10^exponent */
} decimal;

static decimal shortest(uint32_t bits)
{
    uint32_t fraction = bits & 0x7FFFFF, biased = bits >> 23 & 0xFF;
    uint32_t c = biased != 0 ? fraction | 0x800000 : fraction;
    int q = (biased != 0 ? (int)biased : 1) - 150;
    bool odd = (c & 1) != 0;                       /* bounds belong to the interval of an even significand only */
    bool near_below = fraction == 0 && biased > 1; /* at a power of two the lower neighbour is half as far */

    int k = near_below ? floor_log10_three_quarters_pow2(q) : floor_log10_pow2(q);
    int shift = q + floor_log2_pow10(-k) + 1;
    uint64_t power = powers[-k - MIN_POWER];
    uint32_t value = scale_to_odd(power, (4 * c) << shift);
    uint32_t lower = scale_to_odd(power, (4 * c - (near_below ? 1 : 2)) << shift) + odd;
    uint32_t upper = scale_to_odd(power, (4 * c + 2) << shift) - odd;

    uint32_t s = value / 4;
    if (s >= 10) {
        uint32_t tens = s / 10;
        bool below_in = lower <= 40 * tens, above_in = 40 * tens + 40 <= upper;
        if (below_in != above_in)
            return (decimal){tens + above_in, k + 1};
    }
    bool below_in = lower <= 4 * s, above_in = 4 * s + 4 <= upper;
    if (below_in != above_in)
        return (decimal){s + above_in, k};
    bool up = value > 4 * s + 2 || (value == 4 * s + 2 && (s & 1) != 0);
    return (decimal){s + up, k};
}

/* digits (n of them) with the point after the first `before` digits; before may be < 1 or > n. */
static size_t write_plain(const char *digits, int n, int before, char *out)
{
    char *to = out;
    if (before <= 0) {
        memcpy(to, "0.", 2);
        memset(to + 2, '0', (size_t)-before);
        to += 2 - before;
        memcpy(to, digits, (size_t)n);
        return (size_t)(to + n - out);
    }
    int whole = before < n ? before : n;
    memcpy(to, digits, (size_t)whole);
    memset(to + whole, '0', (size_t)(before - whole));
    to += before;
    *to++ = '.';
    if (whole == n)
        *to++ = '0';
    memcpy(to, digits + whole, (size_t)(n - whole));
    return (size_t)(to + (n - whole) - out);
}

static size_t write_scientific(const char *digits, int n, int exponent, char *out)
{
    char *to = out;
    *to++ = digits[0];
    if (n > 1) {
        *to++ = '.';
        memcpy(to, digits + 1, (size_t)n - 1);
        to += n - 1;
    }
    *to++ = 'e';
    if (exponent < 0) {
        *to++ = '-';
        exponent = -exponent;
    }
    if (exponent >= 10)
        *to++ = (char)('0' + exponent / 10);
    *to++ = (char)('0' + exponent % 10);
    return (size_t)(to - out);
}

size_t hd__float_text(float value, char out[HD_FLOAT_TEXT_BYTES])
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    size_t sign = bits >> 31;
    out[0] = '-';
    if ((bits & 0x7F800000) == 0x7F800000) {
        memcpy(out, "null", 4);
        return 4;
    }
    if ((bits & 0x7FFFFFFF) == 0) {
        memcpy(out + sign, "0.0", 3);
        return sign + 3;
    }
    decimal d = shortest(bits);
    char text[10];
    int first = (int)sizeof text;
    while (d.digits % 10 == 0) {
        d.digits /= 10;
        d.exponent++;
    }
    for (; d.digits != 0; d.digits /= 10)
        text[--first] = (char)('0' + d.digits % 10);
    int n = (int)sizeof text - first, before = n + d.exponent;
    if (before > -5 && before <= 9)
        return sign + write_plain(text + first, n, before, out + sign);
    return sign + write_scientific(text + first, n, before - 1, out + sign);
}
