/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * access.c - how loaders and devices reach RAM: plain addresses, read views and write sections.
 *
 * In check-writes mode the read view is a read-only mapping and each write section has a mapping of its own that ends
 * with it, so that a device's store outside of a section faults where it is made.
 */
#include <sys/mman.h>

#include <errno.h>
#include <string.h>

#include "internal.h"

void *
vm_map_gpa(struct vmctx *ctx, vm_paddr_t gpa, size_t len)
{
	if (ctx == NULL)
		return (vm_fail_null(EINVAL, "memory: the VM handle is NULL"));
	if (ram_find(ctx, gpa, len) == NULL)
		return (vm_fail_null(EFAULT, "vm '%s': 0x%jx to 0x%jx is not all RAM", ctx->name, (uintmax_t)gpa,
		    (uintmax_t)gpa + len));
	return (ctx->base + gpa);
}

const void *
vm_map_read(struct vmctx *ctx, vm_paddr_t gpa, size_t len)
{
	const uint8_t *p = vm_map_gpa(ctx, gpa, len);

	return (p == NULL ? NULL : ctx->rbase + (p - ctx->base));
}

vm_paddr_t
vm_rev_map_gpa(struct vmctx *ctx, const void *addr)
{
	const uint8_t *p = addr;

	if (ctx == NULL || ctx->base == NULL)
		return ((vm_paddr_t)-1);
	for (int i = 0; i < 2; i++) {
		const uint8_t *base = i == 0 ? ctx->base : ctx->rbase;

		if (p >= base && p < base + ctx->span && ram_find(ctx, (vm_paddr_t)(p - base), 1) != NULL)
			return ((vm_paddr_t)(p - base));
	}
	return ((vm_paddr_t)-1);
}

void *
vm_write_begin(struct vmctx *ctx, vm_paddr_t gpa, size_t len, struct vm_wsec *ws)
{
	const struct ram_range *r;

	if (ctx == NULL || ws == NULL || len == 0)
		return (vm_fail_null(EINVAL, "write section: a NULL argument, or no length"));
	memset(ws, 0, sizeof(*ws));
	r = ram_find(ctx, gpa, len);
	if (r == NULL)
		return (vm_fail_null(EFAULT, "vm '%s': 0x%jx to 0x%jx is not all RAM", ctx->name, (uintmax_t)gpa,
		    (uintmax_t)gpa + len));
	ws->ctx = ctx;
	ws->gpa = gpa;
	ws->len = len;
	ws->host = ctx->base + gpa;
	if ((ctx->flags & VM_SPEC_CHECK_WRITES) != 0) {
		/* A mapping of the section's own, so that a store after the commit faults. */
		vm_paddr_t start = gpa & ~(vm_paddr_t)(VM_PAGE_SIZE - 1);

		ws->viewlen = (gpa - start + len + VM_PAGE_SIZE - 1) & ~(size_t)(VM_PAGE_SIZE - 1);
		ws->view = mmap(NULL, ws->viewlen, PROT_READ | PROT_WRITE, MAP_SHARED, ctx->memfd,
		    r->seg->offset + (off_t)(r->segoff + (start - r->gpa)));
		if (ws->view == MAP_FAILED) {
			ws->ctx = NULL;
			return (vm_fail_null(ENOMEM, "vm '%s': no view for a write section", ctx->name));
		}
		ws->host = (uint8_t *)ws->view + (gpa - start);
	}
	if (ctx->jit.check != 0) {
		pthread_mutex_lock(&ctx->write_lock);
		while (ctx->write_step)
			pthread_cond_wait(&ctx->write_cond, &ctx->write_lock);
		ctx->writes++;
		pthread_mutex_unlock(&ctx->write_lock);
	}
	return (ws->host);
}

static void
wsec_end(struct vm_wsec *ws)
{
	struct vmctx *ctx = ws->ctx;

	/* It may have been begun by another thread. */
	if (ctx->jit.check != 0) {
		pthread_mutex_lock(&ctx->write_lock);
		ctx->writes--;
		pthread_cond_broadcast(&ctx->write_cond);
		pthread_mutex_unlock(&ctx->write_lock);
	}
	if (ws->view != NULL)
		(void)munmap(ws->view, ws->viewlen);
	memset(ws, 0, sizeof(*ws));
}

void
vm_write_commit(struct vm_wsec *ws)
{
	const struct ram_range *r;

	if (ws == NULL || ws->ctx == NULL)
		return;
	r = ram_find(ws->ctx, ws->gpa, ws->len);
	if (r != NULL)
		dirty_commit_seg(ws->ctx, r->seg, r->segoff + (ws->gpa - r->gpa), ws->len);
	wsec_end(ws);
}

void
vm_write_cancel(struct vm_wsec *ws)
{
	if (ws != NULL && ws->ctx != NULL)
		wsec_end(ws);
}

int
vm_gpa_read(struct vmctx *ctx, vm_paddr_t gpa, void *buf, size_t len)
{
	const void *p;

	if (buf == NULL && len > 0)
		return (vm_fail(EINVAL, "memory: the buffer is NULL"));
	p = vm_map_read(ctx, gpa, len);
	if (p == NULL)
		return (-1);
	if (len > 0)
		memcpy(buf, p, len);
	return (0);
}

int
vm_gpa_write(struct vmctx *ctx, vm_paddr_t gpa, const void *buf, size_t len)
{
	struct vm_wsec ws;

	if (buf == NULL)
		return (vm_fail(EINVAL, "memory: the buffer is NULL"));
	if (len == 0)
		return (vm_map_read(ctx, gpa, 0) == NULL ? -1 : 0);
	if (vm_write_begin(ctx, gpa, len, &ws) == NULL)
		return (-1);
	memcpy(ws.host, buf, len);
	vm_write_commit(&ws);
	return (0);
}

int
vm_dirty_mark(struct vmctx *ctx, vm_paddr_t gpa, size_t len)
{
	int error = 0;

	if (ctx == NULL || len == 0 || gpa + len < gpa)
		return (vm_fail(EINVAL, "dirty pages: a NULL handle, no length or a range that wraps"));
	pthread_rwlock_rdlock(&ctx->map_lock);
	while (len > 0) {
		const struct vm_mapping *m = mem_lookup(ctx, gpa);
		size_t n;

		if (m == NULL) {
			error = vm_fail(EFAULT, "vm '%s': nothing is mapped at 0x%jx", ctx->name, (uintmax_t)gpa);
			break;
		}
		n = m->len - (gpa - m->gpa);
		if (n > len)
			n = len;
		dirty_commit_seg(ctx, &ctx->segs[m->segid], m->segoff + (gpa - m->gpa), n);
		gpa += n;
		len -= n;
	}
	pthread_rwlock_unlock(&ctx->map_lock);
	return (error);
}
