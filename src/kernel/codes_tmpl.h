/* codes_tmpl.h - products of codes, four rows at a time so that a piece of the query is loaded once for them. CD_NAME is the
 * kernel's name, CD_BYTES the width of a vector; cd_query, cd_row, cd_acc and the functions on them come before. Rows that
 * are CD_AHEAD further on are prefetched, whole: in a walk over a graph nothing else would, and their lines come side by
 * side. */
#define CD_ROWS 4
#define CD_AHEAD 4
#define CD_LINE 64

static inline __attribute__((always_inline)) void cd_prefetch(const uint8_t *row, int n)
{
    for (int j = 0; j < n; j += CD_LINE)
        __builtin_prefetch(row + j, 0, 3);
}

static inline __attribute__((always_inline)) void cd_rows(const k_codes *c, const uint8_t *const *rows, int32_t *out,
                                                          const int n_rows)
{
    cd_acc acc[CD_ROWS];
#pragma GCC unroll 4
    for (int r = 0; r < n_rows; r++)
        acc[r] = cd_zero();
    for (int j = 0; j < c->n; j += CD_BYTES) {
        const cd_query q = cd_query_load(c->query + j);
#pragma GCC unroll 4
        for (int r = 0; r < n_rows; r++)
            acc[r] = cd_dot(acc[r], cd_row_load(rows[r] + j), q);
    }
#pragma GCC unroll 4
    for (int r = 0; r < n_rows; r++)
        out[r] = cd_sum(acc[r]) - (CD_CORRECTED ? 0 : c->offset);
}

void CD_NAME(const k_codes *c, const uint8_t *const *rows, size_t n_rows, int32_t *out)
{
    size_t i = 0;
    for (size_t r = 0; r < n_rows && r < CD_AHEAD; r++)
        cd_prefetch(rows[r], c->n);
    for (; i + CD_ROWS <= n_rows; i += CD_ROWS) {
        for (size_t r = i + CD_AHEAD; r < i + CD_AHEAD + CD_ROWS && r < n_rows; r++)
            cd_prefetch(rows[r], c->n);
        cd_rows(c, rows + i, out + i, CD_ROWS);
    }
    for (; i < n_rows; i++)
        cd_rows(c, rows + i, out + i, 1);
}
