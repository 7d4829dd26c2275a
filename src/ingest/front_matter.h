/* front_matter.h - what a Markdown file says about itself before it begins: YAML between two lines "---", as Jekyll, Hugo,
 * Pandoc and Obsidian write it.
 *
 * Of YAML this much is read, which is what front matter is made of; what is more than that (maps in maps, anchors, tags of
 * types) is passed over, never an error:
 *
 *   key: value          text; true, false and numbers as such; "…" and '…' are text
 *   key: [a, "b", 3]    a list
 *   key:                a list, a line for each
 *     - a
 *   key: >              or |: the indented lines below, joined by spaces or line ends
 *   # comment
 */
#ifndef HD_INGEST_FRONT_MATTER_H
#define HD_INGEST_FRONT_MATTER_H

#include <jansson.h>

#include "base/span.h"

/* How many bytes of the text are front matter; 0: none. */
size_t hd__front_matter_len(hd_span text);

/* What it says, as a JSON object, the caller's; NULL when there is no memory. */
json_t *hd__front_matter_parse(hd_span front_matter);

#endif
