/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * console.h - the guest's serial console on standard input and output, with an escape key.
 */
#ifndef _HYVE_CONSOLE_H_
#define	_HYVE_CONSOLE_H_

#include "event/event.h"

struct console;

#define	CONSOLE_ESCAPE	0x1d		/* Ctrl-] */

/*
 * Commands behind the escape key: 'q' ends the VM, 'p' presses the power button, 'r' resets; the rest is the console's own.
 */
typedef void console_fn(void *arg, char command);

/*
 * fd is a stream socket at whose far end the guest is; it does not block and is the console's from now on, also after a failure.  A terminal is
 * put into raw mode until the close, so that every key but the escape key is the guest's.  NULL with a sentence.  Control thread.
 */
struct console *console_open(struct event_loop *loop, int fd, console_fn *fn, void *arg);
/* Whether it is a person's: standard input is a terminal. */
bool	console_is_terminal(const struct console *con);
/* Write what the guest said and has not been written, and give the terminal back.  NULL is ignored. */
void	console_close(struct console *con);

#endif /* _HYVE_CONSOLE_H_ */
