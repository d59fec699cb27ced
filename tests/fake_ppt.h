/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fake_ppt.h - a host's device that is not there: what libvmmapi's calls about host devices do for a device model, for programs linked with FAKE_PPT of
 * tests/meson.build.  Whatever the model does wrong (a second mapping, a vector that there is not) ends the program.
 */
#ifndef _FAKE_PPT_H_
#define	_FAKE_PPT_H_

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vmmapi.h>

#define	FAKE_BAR	(64U << 10)	/* bytes that a BAR has behind it */
#define	FAKE_VECTORS	2048
#define	FAKE_MAPS	64

struct fake_ppt {
	/* The test's, before the device is made. */
	struct vm_pptdev_info info;
	unsigned	 fail_at;		/* this call fails, counting from 1 those that may; 0: none */
	unsigned	 cfg_end;		/* the host gives no configuration space from here on; 0: all of it */
	unsigned	 calls;
	uint8_t		 cfg[4096];
	/* What became of it. */
	bool		 assigned;
	int		 bus, slot, func;
	uint8_t		 bar[VM_PPTDEV_BARS][FAKE_BAR];
	struct {
		uint64_t gpa, hpa;
		size_t	 len;			/* 0: free */
	} map[FAKE_MAPS];
	bool		 msix_on;
	struct {
		uint64_t addr;
		uint32_t data;
		bool	 masked, pending;
	} vector[FAKE_VECTORS];
	uint64_t	 msi_addr, msi_data;
	int		 nmsi;
	void		(*pin)(void *arg);
	void		*pin_arg;
	bool		 pin_masked;
	void		(*notice)(void *arg, enum vm_pptdev_notice what);
	void		*notice_arg;
	void		(*eoi)(void *arg);	/* of the line that the model's pin is on */
	void		*eoi_arg;
	unsigned	 resets;
	uint32_t	 requester;
};

static struct fake_ppt fake;

static inline void
fake_is(bool good, const char *what)
{
	if (!good) {
		fprintf(stderr, "the model of a host's device: %s\n", what);
		abort();
	}
}

/* The host fails at this call, as it may at any but those that give something back. */
static inline bool
fake_fails(void)
{
	if (++fake.calls != fake.fail_at)
		return (false);
	errno = EIO;
	return (true);
}

static inline void
fake_mine(int bus, int slot, int func)
{
	fake_is(fake.assigned && fake.bus == bus && fake.slot == slot && fake.func == func, "it is another device");
}

int	__wrap_vm_assign_pptdev(struct vmctx *ctx, int bus, int slot, int func);
int	__wrap_vm_unassign_pptdev(struct vmctx *ctx, int bus, int slot, int func);
int	__wrap_vm_map_pptdev_mmio(struct vmctx *ctx, int bus, int slot, int func, vm_paddr_t gpa, size_t len, vm_paddr_t hpa);
int	__wrap_vm_unmap_pptdev_mmio(struct vmctx *ctx, int bus, int slot, int func, vm_paddr_t gpa, size_t len);
int	__wrap_vm_setup_pptdev_msi(struct vmctx *ctx, int bus, int slot, int func, uint64_t addr, uint64_t msg, int numvec);
int	__wrap_vm_setup_pptdev_msix(struct vmctx *ctx, int bus, int slot, int func, int idx, uint64_t addr, uint64_t msg, uint32_t control);
int	__wrap_vm_disable_pptdev_msix(struct vmctx *ctx, int bus, int slot, int func);
int	__wrap_vm_reset_pptdev(struct vmctx *ctx, int bus, int slot, int func);
int	__wrap_vm_pptdev_get_info(struct vmctx *ctx, int bus, int slot, int func, struct vm_pptdev_info *info);
int	__wrap_vm_pptdev_cfg_read(struct vmctx *ctx, int bus, int slot, int func, unsigned off, unsigned size, uint32_t *val);
int	__wrap_vm_pptdev_cfg_write(struct vmctx *ctx, int bus, int slot, int func, unsigned off, unsigned size, uint32_t val);
int	__wrap_vm_pptdev_bar_read(struct vmctx *ctx, int bus, int slot, int func, unsigned n, uint64_t off, unsigned size, uint64_t *val);
int	__wrap_vm_pptdev_bar_write(struct vmctx *ctx, int bus, int slot, int func, unsigned n, uint64_t off, unsigned size, uint64_t val);
int	__wrap_vm_pptdev_set_pin(struct vmctx *ctx, int bus, int slot, int func, void (*fn)(void *arg), void *arg);
int	__wrap_vm_pptdev_set_notice(struct vmctx *ctx, int bus, int slot, int func, void (*fn)(void *arg, enum vm_pptdev_notice what), void *arg);
int	__wrap_vm_pptdev_unmask_pin(struct vmctx *ctx, int bus, int slot, int func);
int	__wrap_vm_pptdev_set_requester(struct vmctx *ctx, int bus, int slot, int func, uint32_t requester);
int	__wrap_vm_irq_on_eoi(struct vm_irq *irq, void (*fn)(void *arg), void *arg);
int	__wrap_vm_pptdev_get_pending(struct vmctx *ctx, int bus, int slot, int func, int idx);

int
__wrap_vm_assign_pptdev(struct vmctx *ctx, int bus, int slot, int func)
{
	fake_is(!fake.assigned, "it is assigned twice");
	if (fake_fails())
		return (-1);
	fake.assigned = true;
	fake.bus = bus;
	fake.slot = slot;
	fake.func = func;
	return (0);
}

int
__wrap_vm_unassign_pptdev(struct vmctx *ctx, int bus, int slot, int func)
{
	fake_mine(bus, slot, func);
	for (unsigned i = 0; i < FAKE_MAPS; i++)
		fake_is(fake.map[i].len == 0, "it is given back while it is mapped");
	fake_is(fake.pin == NULL && fake.eoi == NULL, "it is given back while its pin is wanted");
	fake_is(fake.notice == NULL, "it is given back while notices are wanted");
	fake.assigned = fake.msix_on = false;
	fake.nmsi = 0;
	return (0);
}

int
__wrap_vm_map_pptdev_mmio(struct vmctx *ctx, int bus, int slot, int func, vm_paddr_t gpa, size_t len, vm_paddr_t hpa)
{
	unsigned i, bar;

	fake_mine(bus, slot, func);
	if (fake_fails())
		return (-1);
	fake_is(len != 0 && ((gpa | len | hpa) & (VM_PAGE_SIZE - 1)) == 0, "it maps no whole pages");
	for (bar = 0; bar < VM_PPTDEV_BARS && (hpa < fake.info.bar[bar].hpa || hpa + len > fake.info.bar[bar].hpa + fake.info.bar[bar].size); bar++)
		continue;
	fake_is(bar < VM_PPTDEV_BARS, "it maps what is in no BAR");
	for (i = 0; i < FAKE_MAPS; i++) {
		if (fake.map[i].len != 0 && fake.map[i].gpa < gpa + len && gpa < fake.map[i].gpa + fake.map[i].len) {
			errno = EEXIST;
			return (-1);
		}
	}
	for (i = 0; i < FAKE_MAPS && fake.map[i].len != 0; i++)
		continue;
	fake_is(i < FAKE_MAPS, "it has too many mappings");
	fake.map[i].gpa = gpa;
	fake.map[i].hpa = hpa;
	fake.map[i].len = len;
	return (0);
}

int
__wrap_vm_unmap_pptdev_mmio(struct vmctx *ctx, int bus, int slot, int func, vm_paddr_t gpa, size_t len)
{
	fake_mine(bus, slot, func);
	for (unsigned i = 0; i < FAKE_MAPS; i++) {
		if (fake.map[i].gpa == gpa && fake.map[i].len == len && len != 0) {
			fake.map[i].len = 0;
			return (0);
		}
	}
	fake_is(false, "it unmaps what is not mapped");
	return (-1);
}

int
__wrap_vm_setup_pptdev_msi(struct vmctx *ctx, int bus, int slot, int func, uint64_t addr, uint64_t msg, int numvec)
{
	fake_mine(bus, slot, func);
	if (fake_fails())
		return (-1);
	fake_is(numvec >= 0 && (unsigned)numvec <= fake.info.msi && (numvec & (numvec - 1)) == 0, "it has not as many messages");
	fake.nmsi = numvec;
	fake.msi_addr = addr;
	fake.msi_data = msg;
	return (0);
}

int
__wrap_vm_setup_pptdev_msix(struct vmctx *ctx, int bus, int slot, int func, int idx, uint64_t addr, uint64_t msg, uint32_t control)
{
	fake_mine(bus, slot, func);
	if (fake_fails())
		return (-1);
	fake_is(idx >= 0 && (unsigned)idx < fake.info.msix && idx < FAKE_VECTORS, "there is no such vector");
	fake.msix_on = true;
	fake.vector[idx].addr = addr;
	fake.vector[idx].data = (uint32_t)msg;
	fake.vector[idx].masked = (control & 1) != 0;
	return (0);
}

int
__wrap_vm_disable_pptdev_msix(struct vmctx *ctx, int bus, int slot, int func)
{
	fake_mine(bus, slot, func);
	if (fake_fails())
		return (-1);
	fake.msix_on = false;
	return (0);
}

int
__wrap_vm_reset_pptdev(struct vmctx *ctx, int bus, int slot, int func)
{
	fake_mine(bus, slot, func);
	if (fake_fails())
		return (-1);
	fake.msix_on = false;
	fake.nmsi = 0;
	fake.cfg[4] &= 0xfb;
	if (!fake.info.reset) {
		errno = ENOTSUP;
		return (-1);
	}
	fake.resets++;
	return (0);
}

int
__wrap_vm_pptdev_get_info(struct vmctx *ctx, int bus, int slot, int func, struct vm_pptdev_info *info)
{
	fake_mine(bus, slot, func);
	if (fake_fails())
		return (-1);
	*info = fake.info;
	return (0);
}

int
__wrap_vm_pptdev_cfg_read(struct vmctx *ctx, int bus, int slot, int func, unsigned off, unsigned size, uint32_t *val)
{
	fake_mine(bus, slot, func);
	fake_is((size == 1 || size == 2 || size == 4) && off % size == 0 && off + size <= sizeof(fake.cfg), "there is no such register");
	*val = UINT32_MAX;
	if (fake.cfg_end != 0 && off >= fake.cfg_end) {
		errno = EIO;
		return (-1);
	}
	*val = 0;
	memcpy(val, fake.cfg + off, size);
	return (0);
}

int
__wrap_vm_pptdev_cfg_write(struct vmctx *ctx, int bus, int slot, int func, unsigned off, unsigned size, uint32_t val)
{
	fake_mine(bus, slot, func);
	if (fake_fails())
		return (-1);
	fake_is((size == 1 || size == 2 || size == 4) && off % size == 0 && off + size <= sizeof(fake.cfg), "there is no such register");
	memcpy(fake.cfg + off, &val, size);
	return (0);
}

int
__wrap_vm_pptdev_bar_read(struct vmctx *ctx, int bus, int slot, int func, unsigned n, uint64_t off, unsigned size, uint64_t *val)
{
	fake_mine(bus, slot, func);
	*val = UINT64_MAX;
	if (fake_fails())
		return (-1);
	fake_is(n < VM_PPTDEV_BARS, "there is no such BAR");
	if (off + size > fake.info.bar[n].size || off + size > FAKE_BAR) {
		errno = EINVAL;
		return (-1);
	}
	*val = 0;
	memcpy(val, fake.bar[n] + off, size);
	return (0);
}

int
__wrap_vm_pptdev_bar_write(struct vmctx *ctx, int bus, int slot, int func, unsigned n, uint64_t off, unsigned size, uint64_t val)
{
	fake_mine(bus, slot, func);
	if (fake_fails())
		return (-1);
	fake_is(n < VM_PPTDEV_BARS, "there is no such BAR");
	if (off + size > fake.info.bar[n].size || off + size > FAKE_BAR) {
		errno = EINVAL;
		return (-1);
	}
	memcpy(fake.bar[n] + off, &val, size);
	return (0);
}

int
__wrap_vm_pptdev_set_pin(struct vmctx *ctx, int bus, int slot, int func, void (*fn)(void *arg), void *arg)
{
	fake_mine(bus, slot, func);
	if (fn != NULL && fake_fails())
		return (-1);
	fake_is(fn == NULL || fake.info.pin, "there is no pin");
	fake.pin = fn;
	fake.pin_arg = arg;
	return (0);
}

int
__wrap_vm_pptdev_set_notice(struct vmctx *ctx, int bus, int slot, int func, void (*fn)(void *arg, enum vm_pptdev_notice what), void *arg)
{
	fake_mine(bus, slot, func);
	if (fn != NULL && fake_fails())
		return (-1);
	fake.notice = fn;
	fake.notice_arg = arg;
	return (0);
}

int
__wrap_vm_pptdev_unmask_pin(struct vmctx *ctx, int bus, int slot, int func)
{
	fake_mine(bus, slot, func);
	if (fake_fails())
		return (-1);
	fake.pin_masked = false;
	return (0);
}

int
__wrap_vm_pptdev_set_requester(struct vmctx *ctx, int bus, int slot, int func, uint32_t requester)
{
	fake_mine(bus, slot, func);
	if (fake_fails())
		return (-1);
	fake_is(requester <= 0xffff, "it is no requester");
	fake.requester = requester;
	return (0);
}

int
__wrap_vm_pptdev_get_pending(struct vmctx *ctx, int bus, int slot, int func, int idx)
{
	fake_mine(bus, slot, func);
	fake_is(idx >= 0 && (unsigned)idx < fake.info.msix && idx < FAKE_VECTORS, "there is no such vector");
	return (fake.vector[idx].pending);
}

/* No controller has to be driven for an end of interrupt. */
int
__wrap_vm_irq_on_eoi(struct vm_irq *irq, void (*fn)(void *arg), void *arg)
{
	if (fn != NULL && fake_fails())
		return (-1);
	fake.eoi = fn;
	fake.eoi_arg = arg;
	return (0);
}

/* The device raises its pin, which the host masks then. */
static inline void
fake_raise(void)
{
	if (fake.pin != NULL && !fake.pin_masked) {
		fake.pin_masked = true;
		fake.pin(fake.pin_arg);
	}
}

static inline void
fake_put(unsigned off, unsigned size, uint32_t val)
{
	memcpy(fake.cfg + off, &val, size);
}

/* A disk such as there are: registers and vectors in BAR 0, ports in BAR 4, a capability of its vendor's at 0x80, a serial number. */
static inline void
fake_disk(void)
{
	memset(&fake, 0, sizeof(fake));
	fake.info.bar[0] = (struct vm_pptdev_bar){ 0x4000, 0xfe000000, VM_PPTDEV_BAR_64 | VM_PPTDEV_BAR_MAP };
	fake.info.bar[4] = (struct vm_pptdev_bar){ 8, 0xd000, VM_PPTDEV_BAR_IO };
	fake.info.msi = 4;
	fake.info.msix = 9;
	fake.info.pin = fake.info.reset = true;
	fake_put(0x00, 4, 0x5845abcd);
	fake_put(0x04, 4, 0x00100003);
	fake_put(0x08, 4, 0x01080203);
	fake_put(0x2c, 4, 0x11001af4);
	fake_put(0x34, 1, 0x40);
	fake_put(0x3d, 1, 1);
	fake_put(0x40, 4, 0x00036001);		/* power management; the next is at 0x60 */
	fake_put(0x60, 4, 0x01847005);		/* MSI: 4 messages, of 64 bits; 0x70 */
	fake_put(0x70, 4, 0x00029010);		/* PCI Express; 0x90 */
	fake_put(0x90, 4, 0x0008a011);		/* MSI-X: 9 vectors at 0x2000, pending bits at 0x3000 */
	fake_put(0x94, 4, 0x2000);
	fake_put(0x98, 4, 0x3000);
	fake_put(0xa0, 4, 0x55101009);		/* its vendor's, 16 bytes; 0x10 is in the header and ends the list */
	fake_put(0xa4, 4, 0x12345678);
	fake_put(0x100, 4, 0x14010001);		/* errors; 0x140 */
	fake_put(0x140, 4, 0x00010003);		/* serial number */
	fake_put(0x144, 4, 0xcafe0001);
	fake_put(0x148, 4, 0xcafe0002);
}

#endif /* _FAKE_PPT_H_ */
