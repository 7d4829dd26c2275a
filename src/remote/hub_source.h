/* hub_source.h - the files of one repository on a model hub, and how they are downloaded. See hub.h. */
#ifndef HD_REMOTE_HUB_SOURCE_H
#define HD_REMOTE_HUB_SOURCE_H

#include "model/locate.h"
#include "remote/http_client.h"
#include "remote/pull.h"

typedef struct hd_hub_source {
    hd_pull_source base;
    hd_http_client *http;
    const char *endpoint;   /* without a '/' at its end */
    const char *token;      /* NULL for none */
    const char *repository; /* "owner/name" */
    const char *commit;
    const char *parts_dir; /* where unfinished downloads are kept; set before the first fetch */
    hd_arena *arena;
} hd_hub_source;

/* Asks for the list of files at the revision ("" is "main"). Strings given must live as long as the source.
 * HD_ERR_NOT_FOUND (no such model or revision), HD_ERR_PEER (anything else the hub says). */
HD_MUST_USE hd_status hd__hub_source_open(hd_hub_source *source, hd_http_client *http, const char *endpoint,
                                          const char *token, const hd_model_name *name, hd_pull_meter *meter,
                                          hd_arena *arena, hd_error *err);

/* Takes the commit and the files from the JSON of the list; the source's arena is set. `what` is for error texts. */
HD_MUST_USE hd_status hd__hub_listing_parse(hd_hub_source *source, hd_span text, const char *what, hd_error *err);

#endif
