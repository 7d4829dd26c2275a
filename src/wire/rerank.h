/* rerank.h - what the rerank requests and answers of Cohere, Jina and llama.cpp have in common. */
#ifndef HD_WIRE_RERANK_H
#define HD_WIRE_RERANK_H

#include "wire/fields.h"

/* Reads `query` (a string, or {"text": …} when the documents may be objects), the documents in field `documents`, `top_n`
 * (0 or missing: all) and `model`. */
HD_MUST_USE hd_status hd__read_rerank(const hd_wire_request *request, const char *documents, unsigned forms, hd_call *call,
                                      hd_fault *fault);

/* [{"index":0,"relevance_score":0.9},…]; with call->return_text also "document": the i-th of `documents` as it was sent,
 * a string as {"text":…}. */
void hd__write_ranking(hd_buffer *body, const json_t *documents, const hd_call *call, const hd_result *result);

#endif
