/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * irq_conformance.h - what interrupt handles promise, over any controller.
 *
 * A controller is put under the suite by a struct conf_kind: how to make a VM with it, and, from the guest's side of the controller,
 * how to program two lines and two messages, take the highest pending interrupt and end it.  conf_register() makes a case of
 * each promise.
 */
#ifndef _IRQ_CONFORMANCE_H_
#define	_IRQ_CONFORMANCE_H_

#include "harness.h"

#define	CONF_NLINES	2
#define	CONF_MSG	8			/* ids of messages: CONF_MSG + n */
#define	CONF_NMSGS	2

struct conf_target;

struct conf_kind {
	const char	*name;
	bool		 has_msi;
	/* Make the VM, with its controller running; ends the case by SKIP() where it cannot. */
	struct conf_target *(*open)(const struct conf_kind *kind);
	void		(*close)(struct conf_target *t);
	/* Route line[i] to the only vCPU, with this trigger.  Nothing of the line is in service. */
	void		(*program)(struct conf_target *t, unsigned i, bool level, bool enabled);
	/* Take the interrupt that the processor would take now: its id, -1 if there is none. */
	int		(*take)(struct conf_target *t);
	/* End an interrupt that was taken. */
	void		(*eoi)(struct conf_target *t, int id);
	/* The message that arrives as CONF_MSG + n. */
	void		(*message)(struct conf_target *t, unsigned n, uint64_t *addr, uint32_t *data);
	/* A target on another back end that is what this one is, at rest; NULL: h_targets[n] has no such controller here.  NULL: it does not move. */
	struct conf_target *(*move)(struct conf_target *t, unsigned n);
	/* Why an interrupt that was taken is not in service until its end here; NULL, or returning NULL, where it is. */
	const char	*(*no_in_service)(const struct conf_kind *kind);
	const void	*arg;			/* the kind's own */
};

struct conf_target {
	const struct conf_kind *kind;
	struct vmctx	*ctx;
	unsigned	 line[CONF_NLINES];
	struct h_vm	*h;
	void		*priv;
};

/* irq_moves.c */
void	conf_moves(struct conf_target *t);

void	conf_register(const struct conf_kind *kind);

#endif /* _IRQ_CONFORMANCE_H_ */
