/* service.h - runs exchanges on the engine: reads the call with its protocol, admits it, waits for nobody, writes the
 * response. This is where protocols, models and engine meet; sockets are not known here.
 *
 * Light exchanges are read on the caller's thread and answered from there or from the engine's worker that finished
 * them; heavy ones (large bodies, large answers, models to be loaded) move to the service's own threads. Between
 * reading and writing nothing waits: the engine calls back.
 */
#ifndef HD_WIRE_SERVICE_H
#define HD_WIRE_SERVICE_H

#include "heddle/index.h"
#include "wire/models.h"
#include "wire/protocol.h"

typedef struct hd_service hd_service;

typedef struct hd_service_options {
    hd_wire_settings settings;
    uint32_t timeout_ms;                   /* of one request; 0: none */
    uint32_t n_threads;                    /* for heavy exchanges; 0: one for each 2 CPUs, at least 2 */
    void (*finish)(hd_exchange *exchange); /* takes answered exchanges, from any thread */

    /* The index, open until the service is closed, or why it is not open yet, or why it does not rerank yet; asked on the
     * index's threads. NULL: none. */
    hd_status (*find_index)(void *data, bool reranks, hd_index **index, hd_fault *fault);
    void *index_data;
} hd_service_options;

HD_MUST_USE hd_status hd__service_open(hd_engine *engine, hd_models *models, const hd_service_options *options,
                                       hd_service **service, hd_error *err);

/* Every exchange must have been finished. NULL allowed. */
void hd__service_close(hd_service *service);

/* The paths served, each method and path once, made of all protocols' tables. They live as long as the service. */
typedef struct hd_service_path {
    hd_http_method method;
    const char *path;
    bool is_public;
    const hd_dialect *dialect;     /* of what is refused before a route is chosen */
    const hd_route *const *routes; /* [n_routes] that share it, as hd__protocols orders them */
    size_t n_routes;
    hd_service *service;
} hd_service_path;

const hd_service_path *hd__service_paths(const hd_service *service, size_t *n);

/* Begins: the exchange's request is complete. options.finish is called exactly once, perhaps before this returns. */
void hd__service_begin(const hd_service_path *path, hd_exchange *exchange);

/* The client has gone. Any thread, before finish; finish is still called. */
void hd__service_cancel(const hd_service_path *path, hd_exchange *exchange);

/* Ready: not stopping, and every model that is to be preloaded is. */
bool hd__service_ready(const hd_service *service);
void hd__service_set_ready(hd_service *service, bool ready);

#endif
