/* work.h - one exchange on its way through the service, and what its steps share. Internal to the service.
 *
 * An exchange goes through read → (load) → run → write. Each step runs on whatever thread the step before ended on,
 * unless it is heavy: then on the service's own. `s->lock` guards what cancelling and deadlines touch: a work's job,
 * its flags and its place in the list of deadlines.
 */
#ifndef HD_WIRE_WORK_H
#define HD_WIRE_WORK_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/pool.h"
#include "wire/service.h"

typedef struct hd_work {
    hd_task_node node; /* in the pool; first, so that a node is its work */
    hd_service *service;
    const hd_service_path *path;
    const hd_route *route; /* NULL: not chosen yet */
    hd_exchange *exchange;
    hd_wire_request request;
    hd_call call;
    hd_result result;
    hd_model_entry *entry;
    hd_model_card card;
    json_t *body;
    bool on_pool;     /* this step runs on one of the service's threads */
    bool holds_model; /* hd_model_end is due */
    uint64_t step_ns; /* when this step began */

    float *vectors;
    hd_output *outputs; /* [n_inputs] freed with the exchange's arena; NULL: no head but DENSE is wanted */
    float *scores;      /* RERANK: [n_inputs] */
    uint32_t *n_tokens;
    hd_job *own_job;    /* from submit to wait */
    _Atomic int n_refs; /* who submits, and the callback: the last one goes on */

    hd_index *asked_index;
    hd_index_result index;

    hd_job *job; /* what to cancel; with the lock, as all below */
    bool cancelled, timed_out;
    uint64_t deadline_ns; /* 0: none, and not in the list */
    struct hd_work *earlier, *later;
} hd_work;

struct hd_service {
    pthread_mutex_t lock;
    pthread_cond_t timer_wake; /* a deadline before timer_ns, or stop */
    pthread_t timer;
    bool timer_started, stop;
    uint64_t timer_ns;     /* when the timer looks at the deadlines again; UINT64_MAX: not by itself */
    hd_work *first, *last; /* by deadline */

    hd_engine *engine;
    hd_models *models;
    hd_service_options options;
    hd_pool *pool;
    hd_route *routes; /* the protocols' tables one after the other, with their dialects filled in */
    hd_service_path *paths;
    size_t n_paths;
    hd_pool *searchers, *writer; /* NULL without an index: what waits for the disk has threads of its own */
    _Atomic uint32_t n_waiting_searches, n_waiting_writes;
    atomic_bool ready;
    _Atomic uint32_t n_in_flight;

    uint64_t sampled_ns, sampled_tokens; /* for the rate that Retry-After is made of; with the lock */
    double tokens_per_s;
};

/* ---- ends: the work is gone after each of them ---- */

/* The response is complete. */
void hd__work_finish(hd_work *w);
void hd__work_fault(hd_work *w, const hd_fault *fault);
void hd__work_no_memory(hd_work *w);
/* What the engine's status means to the client. */
void hd__work_status(hd_work *w, hd_status status, const hd_error *error);
/* Lets the route write its answer, and finishes. */
void hd__work_write(hd_task_node *node);

/* ---- steps ---- */

/* The rest is done by `step` on one of the service's threads. */
void hd__work_push(hd_work *w, void (*step)(hd_task_node *));

/* The call's model is loaded: these compute and answer. */
void hd__work_compute(hd_work *w);
void hd__work_tokenize(hd_work *w);
void hd__work_detokenize(hd_work *w);
/* One of the index's tasks: on its own threads, searches beside writes. */
void hd__work_index(hd_work *w);

/* What the engine is told of the call. */
hd_encode_options hd__work_encode_options(const hd_work *w);
/* The text of the prompt that the call names, else of the model's default; NULL: none. */
const char *hd__work_prompt_text(const hd_work *w);

#endif
