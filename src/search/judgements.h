/* judgements.h - queries, and what is relevant to them, out of the files that collections come in.
 *
 *   queries   JSON lines {"_id" or "id", "text" or "query"} (BEIR's queries.jsonl), or lines of id, tab, text
 *   qrels     lines of query, document, grade (BEIR's qrels/test.tsv, with its heading or without), or TREC's four columns
 *             of query, iteration, document, grade
 *
 * Which of them a file is is told by its first line. Errors name the file and the line.
 */
#ifndef HD_SEARCH_JUDGEMENTS_H
#define HD_SEARCH_JUDGEMENTS_H

#include "base/arena.h"
#include "base/span.h"

typedef struct hd_judgement {
    const char *query, *document;
    int32_t grade;
    uint32_t line; /* of its file: of several judgements of one document the first counts */
} hd_judgement;

typedef struct hd_judged_query {
    const char *id, *text;
    const hd_judgement *judgements; /* [n_judgements] one for each document, by its id */
    size_t n_judgements;
} hd_judged_query;

/* The queries that have a relevant document, in the order of their file; all on the arena. */
HD_MUST_USE hd_status hd__judgements_parse(hd_span queries, const char *queries_name, hd_span qrels, const char *qrels_name,
                                           hd_arena *arena, hd_judged_query **judged, size_t *n, hd_error *err);

/* The grade of what was found: of its document, else of the chunk itself; 0 when nobody judged either. *judged is the id
 * that has the grade, else the document's. */
int32_t hd__judgements_grade(const hd_judged_query *query, const char *document, const char *chunk, const char **judged);

#endif
