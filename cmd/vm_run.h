/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_run.h - the life of a VM's process: a configuration becomes a machine, which runs to its guest's end.
 */
#ifndef _HYVE_VM_RUN_H_
#define	_HYVE_VM_RUN_H_

#include <stdbool.h>

#include "config/config.h"

struct vmdir;

/* What is no property of the VM but of who runs it.  Zero, but for who, is hyve run. */
struct vm_run_options {
	const char	*who;		/* "hyve run": the origin of what is chosen here, for people */
	/* No devices and no size but those that the keys have; firmware still starts where there is no kernel. */
	bool		 bare;
	/* The VM's name is for its identity alone: it is gone with its process, and nobody finds it by that. */
	bool		 unnamed;
	/*
	 * There is a VM of that name, which a loader filled, and which stays behind empty unless it powers off and gone says so; the keys
	 * name nothing to start.  Its first reset is its end: the loader has to fill it again.
	 */
	bool		 loaded, gone;
	/* The VM's directory, whose lock the caller has taken: the console is served there, and the control socket.  NULL: it has none. */
	struct vmdir	*dir;
	/* There is no terminal: messages go to a log on standard error (say_to_log()), and nothing is read. */
	bool		 detached;
	/* The guest runs; called once.  NULL: nobody wants to know.  Control thread. */
	void		(*running)(void *arg);
	/* It did not come to that, or ended by an error: instead of printing the sentence.  NULL: it is printed. */
	void		(*failed)(void *arg, const char *why);
	void		*arg;
	/* The serial port goes where its key says; else it is connected to standard input and output. */
	bool		 own_port;
};

/* Complete cfg as run_vm() does and check all that can be checked without running: -1 with a sentence. */
int	check_vm(struct config *cfg, const struct vm_run_options *o);

/*
 * Complete cfg by the files and defaults that it names, check it, and run the VM that it describes until the guest ends; one that resets
 * is started anew unless key reboot is off.  A signal that would end the process presses the power button, a second one or
 * power_off_wait seconds end the VM.
 *
 * Returns the exit code of cmd.h, or the guest's own; EXIT_VM_ERROR after the sentence was printed.  cfg stays the caller's, with
 * what was chosen set in it.  Main thread, and once in a process: the signals stay blocked.
 */
int	run_vm(struct config *cfg, const struct vm_run_options *o);

#endif /* _HYVE_VM_RUN_H_ */
