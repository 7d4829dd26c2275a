/* deadline.h - requests that must be answered by a time: a list in the order of their deadlines, and a thread that sleeps
 * until the first of them.
 */
#ifndef HD_WIRE_DEADLINE_H
#define HD_WIRE_DEADLINE_H

#include "wire/work.h"

/* Puts the work into the list, by its call's time or the service's; nothing when neither has one. */
void hd__deadline_set(hd_work *w);
/* With the lock: takes it out. */
void hd__deadline_leave(hd_service *s, hd_work *w);

/* Starts the thread; stop ends it. */
HD_MUST_USE hd_status hd__deadline_start(hd_service *s, hd_error *err);
void hd__deadline_stop(hd_service *s);

#endif
