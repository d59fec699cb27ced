/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * module.h - parts of hyve that are loaded when first used, because the libraries below them are large.
 *
 * A module is a shared object hyve-NAME.so that exports one constant struct, whose first member is a struct module_head.  It is
 * linked with its library and with nothing of hyve: what it needs of hyve comes as a struct module_host.  Modules stay loaded.
 *
 * They are looked for in $HYVE_MODULES if that is set, and else where the program is: beside it in a build directory, or in the
 * library directory of the installation.
 */
#ifndef _HYVE_MODULE_H_
#define	_HYVE_MODULE_H_

#include "event/event.h"
#include "log.h"
#include "thread.h"

#define	MODULE_VERSION	3	/* of the structs here and in each module's header */

struct module_head {
	unsigned	 version;	/* MODULE_VERSION */
};

/* event.h, error.h, log.h and thread.h for modules. */
struct module_host {
	struct event *(*fd_add)(struct event_loop *loop, int fd, unsigned what, event_fd_fn *fn, void *arg);
	void	(*fd_set)(struct event *ev, unsigned what);
	struct event *(*timer_add)(struct event_loop *loop, event_fn *fn, void *arg);
	void	(*timer_arm)(struct event *ev, uint64_t ns);
	void	(*timer_disarm)(struct event *ev);
	void	(*remove)(struct event *ev);
	int	(*fail)(int error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
	void	(*guest_log)(struct log *log, struct log_rate *rate, const char *subsys, const char *fmt, ...)
		    __attribute__((format(printf, 4, 5)));
	int	(*thread_create)(pthread_t *thread, void *(*fn)(void *arg), void *arg);
};

extern const struct module_host module_host;

/*
 * The struct called symbol in module hyve-NAME.so, loaded if it was not.  package is what a person installs when a library is
 * missing.  NULL with a sentence.  Any thread.
 */
const void *module_load(const char *name, const char *symbol, const char *package);

#endif /* _HYVE_MODULE_H_ */
