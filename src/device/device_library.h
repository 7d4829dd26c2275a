/* device_library.h - opening a device plugin (heddle/plugin.h): where it is looked for, and whether it is one for this
 * Heddle.
 *
 * "heddle-<name>.so" is looked for in $HEDDLE_PLUGIN_DIR when that is set and nowhere else; otherwise beside the file that
 * this code is in, the program or libheddle, then in heddle/ beside it, then in ../lib/heddle from there. No folder that a
 * library search would use: what is opened runs as this process.
 */
#ifndef HD_DEVICE_DEVICE_LIBRARY_H
#define HD_DEVICE_DEVICE_LIBRARY_H

#include "base/status.h"
#include "heddle/plugin.h"

/* HD_ERR_NOT_FOUND: there is no such file. HD_ERR_UNSUPPORTED: there is, but it is none for this Heddle, or says itself that
 * it cannot run here. The plugin stays open until the process ends: drivers leave threads and handlers behind. */
HD_MUST_USE hd_status hd__device_library_open(const char *name, const hd_plugin **plugin, hd_error *err);

#endif
