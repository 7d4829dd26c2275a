/* grapheme.c - see grapheme.h. The names are those of the annex. */
#include "token/grapheme.h"

enum { ANY, CR, LF, CONTROL, EXTEND, ZWJ, PREPEND, SPACING_MARK, REGIONAL, PICTOGRAPH, CONSONANT, L, V, T, LV, LVT };
enum { CLASS = 15, LINKER = 16, INCB_EXTEND = 32 }; /* of a table entry */

static bool is_control(uint8_t class)
{
    return class == CR || class == LF || class == CONTROL;
}

static bool hangul_goes_on(uint8_t before, uint8_t after)
{
    if (before == L)
        return after == L || after == V || after == LV || after == LVT;
    if (before == LV || before == V)
        return after == V || after == T;
    return (before == LVT || before == T) && after == T;
}

static bool goes_on(const hd_grapheme_state *state, uint8_t after)
{
    uint8_t before = state->before;
    if (is_control(before) || is_control(after))
        return before == CR && after == LF;
    if (hangul_goes_on(before, after) || after == EXTEND || after == ZWJ || after == SPACING_MARK || before == PREPEND)
        return true;
    if (after == CONSONANT)
        return state->conjunct == 2;
    if (after == PICTOGRAPH)
        return state->emoji == 2;
    return before == REGIONAL && after == REGIONAL && state->odd_flags;
}

bool hd__grapheme_ends(hd_grapheme_state *state, uint32_t c)
{
    uint8_t entry = hd__grapheme_block[hd__grapheme_index[c >> 7] * 128u + (c & 127)];
    uint8_t after = entry & CLASS;
    bool ends = !goes_on(state, after);
    if (after == CONSONANT)
        state->conjunct = 1;
    else if (entry & LINKER)
        state->conjunct = state->conjunct > 0 ? 2 : 0;
    else if (!(entry & INCB_EXTEND))
        state->conjunct = 0;
    if (after == PICTOGRAPH)
        state->emoji = 1;
    else if (state->emoji == 1 && after == ZWJ)
        state->emoji = 2;
    else if (after != EXTEND || state->emoji == 2)
        state->emoji = 0;
    state->odd_flags = after == REGIONAL && !(state->before == REGIONAL && state->odd_flags);
    state->before = after;
    return ends;
}
