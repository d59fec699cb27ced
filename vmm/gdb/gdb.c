/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gdb.c - gdb's remote serial protocol: where it listens, and the connection of the one client.
 *
 * Nothing is read while something is to be sent, so a client that asks without listening is answered once and then waits.
 */
#include <sys/socket.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../error.h"
#include "gdb_internal.h"

#define	AGAIN_NS	1000000000ULL

/* Sending and receiving */

static void
want(struct gdb *g)
{
	if (g->ev != NULL)
		event_fd_set(g->ev, g->sent < g->nout ? EVENT_WRITE : EVENT_READ);
}

static void
flush(struct gdb *g)
{
	while (g->fd >= 0 && g->sent < g->nout) {
		ssize_t n = send(g->fd, g->out + g->sent, g->nout - g->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n <= 0) {
			gdb_drop(g, "cannot send to it");
			return;
		}
		g->sent += (size_t)n;
	}
	if (g->sent == g->nout)
		g->sent = g->nout = 0;
	want(g);
}

/* There is room: an answer, an acknowledgement and the report of a stop are all that there can be at a time. */
static void
put(struct gdb *g, const char *data, size_t len)
{
	if (g->fd < 0)
		return;
	if (len > sizeof(g->out) - g->nout) {
		gdb_drop(g, "it does not take what it asked for");
		return;
	}
	memcpy(g->out + g->nout, data, len);
	g->nout += len;
}

void
gdb_send(struct gdb *g, const struct rsp_text *t)
{
	if (g->fd < 0)
		return;
	g->nlast = rsp_frame(t, g->last);
	put(g, g->last, g->nlast);
	flush(g);
}

static void
got(struct gdb *g, enum rsp_event what)
{
	switch (what) {
	case RSP_PACKET:
	case RSP_BAD:
	case RSP_TOO_LONG:
		/* A packet that has no end in here would only be sent again. */
		if (!g->no_ack && what == RSP_BAD) {
			put(g, "-", 1);
			flush(g);
			return;
		}
		if (!g->no_ack)
			put(g, "+", 1);
		if (!g->attached) {
			g->attached = true;
			log_msg(g->log, LOG_LEVEL_INFO, "gdb", "a debugger has connected; the guest is stopped");
			gdb_stop(g);
		}
		if (what == RSP_TOO_LONG) {
			g->reply.len = 0;
			rsp_add(&g->reply, "E.packets have at most %u characters", RSP_MAX);
			gdb_send(g, &g->reply);
			return;
		}
		gdb_packet(g, g->in.buf, g->in.len);
		flush(g);
		return;
	case RSP_NAK:
		if (!g->no_ack && g->nlast != 0) {
			put(g, g->last, g->nlast);
			flush(g);
		}
		return;
	case RSP_BREAK:
		if (g->owes) {
			gdb_stop(g);
			/* Meanwhile a vCPU may have come to a point. */
			if (g->owes && !gdb_tell_hit(g))
				gdb_tell(g, g->cpu_g, 2, "");	/* SIGINT */
		}
		return;
	default:
		return;
	}
}

static void
work(struct gdb *g)
{
	while (g->fd >= 0 && g->at < g->len && g->nout == 0 && !g->owes_reset)
		got(g, rsp_byte(&g->in, g->data[g->at++]));
}

static void
on_client(void *arg, unsigned what)
{
	struct gdb *g = arg;
	ssize_t n;

	if ((what & EVENT_WRITE) != 0)
		flush(g);
	work(g);
	if (g->fd < 0 || g->nout != 0 || g->at < g->len || (what & EVENT_READ) == 0)
		return;
	n = recv(g->fd, g->data, sizeof(g->data), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (n <= 0) {
		gdb_drop(g, n == 0 ? "it has hung up" : strerror(errno));
		return;
	}
	g->at = 0;
	g->len = (size_t)n;
	work(g);
}

void
gdb_drop(struct gdb *g, const char *why)
{
	if (g->fd < 0)
		return;
	event_remove(g->ev);
	g->ev = NULL;
	close(g->fd);
	g->fd = -1;
	if (g->attached)
		log_msg(g->log, LOG_LEVEL_INFO, "gdb", "the debugger is gone: %s%s", why, g->wait ? "; the guest waits for another one" : "");
	g->npoints = 0;
	g->owes = g->owes_reset = false;
	/* With gdb.wait whoever only looked in does not start the guest. */
	if (g->attached && !g->wait)
		gdb_release(g);
	g->attached = false;
}

int
gdb_serve(struct gdb *g, int fd)
{
	int one = 1;

	/* Whoever has not said anything, or only looked whether somebody answers, is in nobody's way. */
	if (!g->attached)
		gdb_drop(g, "another one has come");
	if (g->fd >= 0) {
		close(fd);
		return (vmm_fail(EBUSY, "gdb: there is a debugger already"));
	}
	/* Packets are short, and each waits for an answer; a client whose host is gone does not stop the guest for ever.  A UNIX socket needs neither. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	memset(&g->in, 0, sizeof(g->in));
	g->at = g->len = g->nlast = g->sent = g->nout = 0;
	g->no_ack = g->attached = g->owes = g->owes_reset = g->swbreak = g->hwbreak = g->physical = false;
	g->cpu_g = g->listed = 0;
	g->cpu_c = VM_MAXCPU;
	g->fd = fd;
	g->ev = event_fd_add(g->loop, fd, EVENT_READ, on_client, g);
	if (g->ev == NULL) {
		close(fd);
		g->fd = -1;
		return (vmm_fail_sys(errno, "gdb"));
	}
	return (0);
}

/* Listening */

static void
listen_for(struct gdb *g, unsigned what)
{
	if (g->tcp_ev != NULL)
		event_fd_set(g->tcp_ev, what);
	if (g->local_ev != NULL)
		event_fd_set(g->local_ev, what);
}

static void
accept_again(void *arg)
{
	listen_for(arg, EVENT_READ);
}

static void
take(struct gdb *g, int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0) {
		/* Without descriptors the client would be told about again and again. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
			listen_for(g, 0);
			event_timer_arm(g->again, AGAIN_NS);
		}
		return;
	}
	if (listener == g->local.fd && !local_socket_is_owner(fd)) {
		log_msg(g->log, LOG_LEVEL_WARN, "gdb", "somebody else's process was refused");
		close(fd);
	} else if (gdb_serve(g, fd) != 0) {
		log_msg(g->log, LOG_LEVEL_WARN, "gdb", "another debugger was refused");
	}
}

static void
on_tcp(void *arg, unsigned what)
{
	struct gdb *g = arg;

	take(g, g->tcp);
}

static void
on_local(void *arg, unsigned what)
{
	struct gdb *g = arg;

	take(g, g->local.fd);
}

static int
listen_tcp(struct gdb *g, const char *address, int64_t port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *list, *a;
	char service[8];
	int error, one = 1;

	(void)snprintf(service, sizeof(service), "%d", (int)port);
	error = getaddrinfo(address, service, &hints, &list);
	if (error != 0)
		return (vmm_fail(EADDRNOTAVAIL, "gdb.address: '%s': %s", address, gai_strerror(error)));
	error = 0;
	for (a = list; a != NULL && g->tcp < 0; a = a->ai_next) {
		int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);

		if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
		    bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, 4) == 0) {
			g->tcp = fd;
			break;
		}
		error = errno;
		if (fd >= 0)
			close(fd);
	}
	freeaddrinfo(list);
	if (g->tcp < 0)
		return (vmm_fail_sys(error, "gdb.port: cannot listen at %s, port %d", address, (int)port));
	g->tcp_ev = event_fd_add(g->loop, g->tcp, EVENT_READ, on_tcp, g);
	return (g->tcp_ev != NULL ? 0 : vmm_fail_sys(errno, "gdb.port"));
}

static int
listen_local(struct gdb *g, const char *path)
{
	if (local_socket_open(&g->local, "gdb.path", SOCK_STREAM, path) != 0)
		return (-1);
	g->local_ev = event_fd_add(g->loop, g->local.fd, EVENT_READ, on_local, g);
	return (g->local_ev != NULL ? 0 : vmm_fail_sys(errno, "gdb.path"));
}

bool
gdb_wanted(struct config *cfg)
{
	struct config_node *node = config_node(cfg, "gdb");

	return (config_num(node, "port") != 0 || config_str(node, "path") != NULL);
}

struct gdb *
gdb_open(struct event_loop *loop, struct log *log, struct config *cfg, const struct gdb_owner *owner)
{
	struct config_node *node = cfg != NULL ? config_node(cfg, "gdb") : NULL;
	struct gdb *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return (vmm_fail_null(ENOMEM, "gdb: no memory"));
	g->loop = loop;
	g->log = log;
	g->owner = *owner;
	g->tcp = g->local.fd = g->fd = -1;
	pthread_mutex_init(&g->lock, NULL);
	if (node == NULL)
		return (g);
	if ((config_num(node, "port") != 0 && listen_tcp(g, config_str(node, "address"), config_num(node, "port")) != 0) ||
	    (config_str(node, "path") != NULL && listen_local(g, config_str(node, "path")) != 0)) {
		gdb_close(g);
		return (NULL);
	}
	g->again = event_timer_add(loop, accept_again, g);
	g->hit = event_timer_add(loop, gdb_on_hit, g);
	if (g->again == NULL || g->hit == NULL) {
		gdb_close(g);
		return (vmm_fail_null(ENOMEM, "gdb: no memory"));
	}
	g->wait = config_bool(node, "wait");
	if (g->wait)
		gdb_stop(g);
	return (g);
}

void
gdb_close(struct gdb *g)
{
	if (g == NULL)
		return;
	event_remove(g->ev);
	event_remove(g->tcp_ev);
	event_remove(g->local_ev);
	event_remove(g->again);
	event_remove(g->hit);
	if (g->fd >= 0)
		close(g->fd);
	if (g->tcp >= 0)
		close(g->tcp);
	local_socket_close(&g->local);
	/* A vCPU's thread may have asked to be looked at. */
	event_drain(g->loop);
	free(g->xml);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

/* The VM */

/* When the VM has begun to run, or to stand still. */
static void
answer_reset(void *arg)
{
	struct gdb *g = arg;

	if (!g->owes_reset)
		return;
	g->owes_reset = false;
	g->reply.len = 0;
	rsp_add(&g->reply, "OK");
	gdb_send(g, &g->reply);
	work(g);
}

int
gdb_vm_on(struct gdb *g, struct vmctx *vm, struct vcpu *const *vcpus, unsigned n)
{
	int error;

	g->target = gdb_target_find(vm_get_arch(vm));
	if (g->target == NULL)
		return (vmm_fail(ENOTSUP, "gdb: knows no %s processors", vm_arch_name(vm_get_arch(vm))));
	free(g->xml);
	g->xml = gdb_target_xml(g->target);
	if (g->xml == NULL)
		return (vmm_fail(ENOMEM, "gdb: no memory"));
	g->vm = vm;
	g->n = n;
	for (unsigned i = 0; i < n; i++)
		g->cpus[i] = (struct gdb_cpu){ .vcpu = vcpus[i], .action = GDB_GO };
	if (g->cpu_g >= n)
		g->cpu_g = 0;
	g->nset = 0;
	g->pauses = 0;
	if (!g->stopped && g->npoints != 0) {
		/* It goes on with the points that the VM before had. */
		error = vm_pause(vm);
		if (error == 0) {
			error = gdb_apply_points(g, false);
			(void)vm_resume(vm);
		}
		if (error != 0)
			return (vmm_fail_vm("gdb"));
	}
	return (g->owes_reset ? event_post(g->loop, answer_reset, g) : 0);
}

void
gdb_vm_off(struct gdb *g, bool reset, int code)
{
	pthread_mutex_lock(&g->lock);
	g->vm = NULL;
	g->pauses = 0;
	g->n = 0;
	pthread_mutex_unlock(&g->lock);
	if (reset || !g->owes)
		return;
	g->owes = false;
	g->reply.len = 0;
	rsp_add(&g->reply, "W%02x", (unsigned)code & 0xff);
	gdb_send(g, &g->reply);
}
