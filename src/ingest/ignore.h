/* ignore.h - what files like .gitignore leave out: patterns by git's rules (gitignore(5), and what git 2 does where that
 * says nothing).
 *
 * Each line is a pattern, the last that matches decides. A pattern with a slash before its end is about paths below the
 * folder of the file that it stands in, one without about names at any depth; a slash at the end: folders alone; "!" at the
 * beginning: taken after all. "*" and "?" stand for bytes but "/", a class in brackets for one of them, "**" between slashes
 * for any folders or none.
 */
#ifndef HD_INGEST_IGNORE_H
#define HD_INGEST_IGNORE_H

#include "base/arena.h"
#include "base/span.h"

typedef struct hd_ignore hd_ignore; /* the patterns of one file */

typedef enum hd_ignore_answer { HD_IGNORE_UNSAID, HD_IGNORE_TAKE, HD_IGNORE_LEAVE } hd_ignore_answer;

/* On the arena; text may go. Lines of more than HD_LIMIT_IGNORE_PATTERN_BYTES match nothing, as paths are not that long. */
HD_MUST_USE hd_status hd__ignore_parse(hd_span text, hd_arena *arena, const hd_ignore **ignore, hd_error *err);

/* One pattern, of paths below a folder from their beginning: "#" and "!", blanks and line ends are themselves. HD_ERR_LIMIT
 * for a longer one. */
HD_MUST_USE hd_status hd__ignore_parse_path(const char *pattern, hd_arena *arena, const hd_ignore **ignore, hd_error *err);

/* What the patterns say of a path below their folder, without a slash at either end. ignore may be NULL. */
hd_ignore_answer hd__ignore_ask(const hd_ignore *ignore, hd_span path, bool is_dir);

#endif
