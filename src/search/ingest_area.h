/* ingest_area.h - which folders an index follows, and which parts of them a run is about.
 *
 * A folder that is indexed is a root from then on, and has a label: its own name, or with a number when another root has
 * that. Documents' ids are "<label>/<path below the root>". A path below a root is a part of it, whatever the order in which
 * both are given; a root that is found to lie in another is taken into it, and its documents move. A file is part of the
 * folder that it is in, and so is what a pattern finds of the folder before its first wildcard. A label whose folder is no
 * longer there is free for another folder of that name, whose documents they then are, moved.
 */
#ifndef HD_SEARCH_INGEST_AREA_H
#define HD_SEARCH_INGEST_AREA_H

#include "base/arena.h"
#include "base/map64.h"
#include "ingest/ignore.h"
#include "store/store.h"

/* What is looked at: a file, a folder, or what a pattern finds in a folder. */
typedef struct hd_ingest_path {
    const char *path; /* absolute, without links */
    bool is_folder;
    const char *given;        /* by the caller */
    const hd_ignore *pattern; /* of files and folders below path; NULL: all */
    bool is_found;            /* the pattern has found something: the caller's */
} hd_ingest_path;

typedef struct hd_ingest_area {
    const char *root, *label;
    hd_ingest_path *paths; /* [n_paths] the root itself, or what lies in it */
    size_t n_paths;
    const char **taken; /* [n_taken] roots whose documents become part of this one */
    size_t n_taken;
    const char **absent; /* [n_absent] of a new root: roots that are not there, whose documents may have come here */
    size_t n_absent;
} hd_ingest_area;

/* A path as it was given: one that is not there and has "*", "?" or "[" is a pattern with .gitignore's rules. `given` is
 * kept. HD_ERR_NOT_FOUND and HD_ERR_IO name a path that is not there. */
HD_MUST_USE hd_status hd__ingest_path_resolve(const char *given, hd_arena *arena, hd_ingest_path *path, hd_error *err);

/* Whether it is about a path, absolute. */
bool hd__ingest_path_has(const hd_ingest_path *about, const char *path);

/* On the arena. What is new is written to the index. Errors as above. */
HD_MUST_USE hd_status hd__ingest_areas_find(hd_store *store, const char *const *paths, size_t n_paths, hd_arena *arena,
                                            hd_ingest_area **areas, size_t *n, hd_error *err);

/* The first of what the area's run is about that is about a path; NULL: none. */
hd_ingest_path *hd__ingest_area_has(const hd_ingest_area *area, const char *path);

/* "<label>/<name>", as UTF-8: other bytes are written "\xNN". On the arena; NULL: no memory. */
const char *hd__ingest_id(const char *label, const char *name, hd_arena *arena);

#endif
