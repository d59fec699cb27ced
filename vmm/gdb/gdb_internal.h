/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gdb_internal.h - what the parts of gdb's server share: gdb.c has the connection, stop.c the stopping and going on, packet.c and go.c what
 * packets ask for, memory.c the guest's memory, monitor.c the user's own commands.
 */
#ifndef _HYVE_GDB_INTERNAL_H_
#define	_HYVE_GDB_INTERNAL_H_

#include <pthread.h>

#include "../local_socket.h"
#include "gdb.h"
#include "rsp.h"
#include "target.h"

/* What a vCPU is to do when the client lets it. */
enum gdb_action { GDB_HOLD, GDB_GO, GDB_STEP, GDB_RANGE };

struct gdb_cpu {
	struct vcpu	*vcpu;
	enum gdb_action	 action;
	uint64_t	 start, end;	/* GDB_RANGE: steps inside are not told */
	bool		 masked;	/* interrupts wait while it steps */
	/* With the lock: why it stopped, not told yet. */
	bool		 hit;
	struct vm_exit	 exit;
};

/* A point that the client has set, as it called it: Z0 to Z4. */
struct gdb_point {
	unsigned	 type;
	struct vm_debug_point p;
};

struct gdb {
	struct event_loop *loop;
	struct log	*log;
	struct gdb_owner owner;

	int		 tcp, fd;	/* -1: none */
	struct local_socket local;
	struct event	*tcp_ev, *local_ev, *ev;
	struct event	*again;		/* timer: listen again */
	struct event	*hit;		/* timer: a vCPU has stopped; no post, which event_drain() would run in the midst of a hold or of a reset */
	bool		 wait;		/* gdb.wait, and nobody has let it go on */

	/* the connection */
	struct rsp_in	 in;
	uint8_t		 data[4096];	/* received and not looked at: [at, len) */
	size_t		 at, len;
	char		 last[RSP_FRAME_MAX];	/* the last packet sent, for whoever missed it */
	size_t		 nlast;
	char		 out[2 * RSP_FRAME_MAX + 16];	/* to be sent: [sent, nout) */
	size_t		 sent, nout;
	bool		 no_ack, ack_last;	/* ack_last: the answer to QStartNoAckMode is behind */
	bool		 attached;	/* the client has said something */
	bool		 owes;		/* a stop reply, when something stops */
	bool		 owes_reset;	/* an answer, when there is a VM again */
	bool		 swbreak, hwbreak;	/* it knows these reasons */
	bool		 physical;	/* its addresses of memory are physical */
	unsigned	 cpu_g;		/* the thread that registers and memory are of */
	unsigned	 cpu_c;		/* the one that c and s are about, n: all */
	unsigned	 listed;	/* of qsThreadInfo */
	struct rsp_text	 reply;

	/* the VM; NULL: there is none now */
	struct vmctx	*vm;
	const struct gdb_target *target;
	char		*xml;
	struct gdb_cpu	 cpus[VM_MAXCPU];
	unsigned	 n;
	bool		 stopped;	/* owner.stop() was called */
	struct gdb_point points[VM_DEBUG_MAX];
	unsigned	 npoints;
	struct vm_debug_point set[VM_DEBUG_MAX];	/* what the VM has now */
	unsigned	 nset;

	pthread_mutex_t	 lock;		/* hits and pauses */
	unsigned	 pauses;	/* vm_pause() by vCPUs' threads, which the control thread undoes */
};

/* gdb.c */
void	gdb_send(struct gdb *g, const struct rsp_text *t);
/* The connection ends: the machine goes on without points. */
void	gdb_drop(struct gdb *g, const char *why);

/* stop.c */
void	gdb_stop(struct gdb *g);
/* Let vCPUs do their actions, or tell at once what has not been told; -1 with vm_errmsg(): the VM cannot have the points. */
int	gdb_resume(struct gdb *g);
/* The same without telling anything. */
int	gdb_go(struct gdb *g);
/* What a vCPU does, in words. */
const char *gdb_state(struct gdb *g, unsigned cpu);
/* Take all points away and let everything go. */
void	gdb_release(struct gdb *g);
/* Tell a stop that has not been told, if there is one.  false: none. */
bool	gdb_tell_hit(struct gdb *g);
/* Timer: a vCPU has stopped. */
void	gdb_on_hit(void *arg);
/* The stop reply of a vCPU. */
void	gdb_tell(struct gdb *g, unsigned cpu, unsigned signal, const char *reason);
/* Let the VM, which is paused, have the points.  steps_only: no vCPU is to do more than a step.  -1 with vm_errmsg(). */
int	gdb_apply_points(struct gdb *g, bool steps_only);
/* Z and z: -1 with vm_errmsg(). */
int	gdb_point_add(struct gdb *g, unsigned type, uint64_t addr, uint64_t len);
void	gdb_point_remove(struct gdb *g, unsigned type, uint64_t addr, uint64_t len);

/* packet.c */
struct gdb_packet {
	const char	*begin;
	bool		 stopped;	/* only while the machine stands still */
	/* p: behind its beginning; len: bytes there.  false: there is no answer, or it was given. */
	bool		(*fn)(struct gdb *g, char *p, size_t len);
};

void	gdb_packet(struct gdb *g, char *text, size_t len);
/* Answer with an error in words; with one about the packet itself. */
void	gdb_error(struct gdb *g, const char *text);
void	gdb_malformed(struct gdb *g);
/* The vCPU that registers and memory are of. */
struct vcpu *gdb_looked_at(struct gdb *g);
/* A thread: true with its vCPU, g->n for all of them.  0 is any one: that which is looked at. */
bool	gdb_thread(struct gdb *g, const char **p, unsigned *cpu);
/* "addr,length", and what is to follow, if anything is. */
bool	gdb_range(const char **p, char end, uint64_t *addr, uint64_t *len);
/* go.c */
extern const struct gdb_packet gdb_go_packets[];
extern const size_t gdb_ngo_packets;

/* memory.c: bytes that were done, which may be fewer. */
size_t	gdb_mem_read(struct gdb *g, uint64_t addr, void *buf, size_t len);
size_t	gdb_mem_write(struct gdb *g, uint64_t addr, const void *buf, size_t len);

/* monitor.c: a line of the user's; what it says comes into *out.  false: the answer comes later. */
bool	gdb_monitor(struct gdb *g, const char *line, struct rsp_text *out);

#endif /* _HYVE_GDB_INTERNAL_H_ */
