/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pci_internal.h - between pci.c (functions), root_port.c (ports), msix.c and msi.c (their messages), power.c (their power and resets),
 * host.c (the segment they are in) and assign.c (what firmware would do with it).
 */
#ifndef _HYVE_PCI_INTERNAL_H_
#define	_HYVE_PCI_INTERNAL_H_

#include <string.h>

#include "pci.h"

/* Configuration registers (PCI 6.1, figure 6-1). */
#define	PCI_VENDOR	0x00
#define	PCI_DEVICE	0x02
#define	PCI_COMMAND	0x04
#define	PCI_STATUS	0x06
#define	PCI_REVISION	0x08
#define	PCI_CLASS	0x09
#define	PCI_CACHE_LINE	0x0c
#define	PCI_HEADER_TYPE	0x0e
#define	PCI_BAR0	0x10
#define	PCI_BRIDGE_BUSES 0x18		/* of a bridge: what follows is its own */
#define	PCI_SUBVENDOR	0x2c
#define	PCI_SUBDEVICE	0x2e
#define	PCI_ROM_BASE	0x30
#define	PCI_CAPABILITIES 0x34
#define	PCI_INTERRUPT_LINE 0x3c
#define	PCI_INTERRUPT_PIN 0x3d
#define	PCI_HEADER_END	0x40
#define	PCI_CAPS_END	0x100

#define	PCI_NSLOTS	256

/* host.c */

struct pci_host {
	struct vmm	*vmm;
	struct pci_host_spec spec;
	pthread_mutex_t	 lock;		/* of everything; held while functions' registers are accessed */
	struct pci_fn	*fn[PCI_NSLOTS];	/* of bus 0 */
	struct pci_port	*ports;
	struct vm_range	*ecam_range, *ports_range;
	uint64_t	 ecam;
	unsigned	 buses;		/* of the window */
	uint32_t	 address;	/* port 0xcf8 */
	void		(*on_pin)(void *arg, uint8_t devfn, bool level);	/* or NULL */
	void		*on_pin_arg;
};

/* The function is there from now on, or no more.  -1 with a sentence: the slot, or the port's, is taken. */
int	pci_host_attach(struct pci_host *host, struct pci_fn *fn);
void	pci_host_detach(struct pci_host *host, struct pci_fn *fn);
/* A function's pin is at this level. */
void	pci_host_pin(struct pci_host *host, const struct pci_fn *fn, bool level);
/* Where port *addr of the segment is: the space, and *addr in it. */
enum vm_space pci_host_io(const struct pci_host *h, uint64_t *addr);
/* The segment's lock, under which ops are called.  Order: it, devices' locks, fn->lock. */
void	pci_host_lock(struct pci_host *host);
void	pci_host_unlock(struct pci_host *host);
/* A BAR of fn is no longer at addr: pci_fn_uncovered() for all others.  The segment's lock held. */
void	pci_host_uncovered(struct pci_host *host, const struct pci_fn *fn, bool io, uint64_t addr, uint64_t len);

/* pci.c */

/* Accesses to the registers of a function: off + size within them, aligned; the segment's lock held. */
uint32_t pci_fn_read(struct pci_fn *fn, unsigned off, unsigned size);
void	pci_fn_write(struct pci_fn *fn, unsigned off, unsigned size, uint32_t val);
void	pci_fn_uncovered(struct pci_fn *fn, bool io, uint64_t addr, uint64_t len);
/*
 * The port lets this through from now on.  The segment's lock held.  The first is for when the devices are paused: reset or resume of the
 * function itself, which come behind, do the rest.
 */
void	pci_fn_set_upstream(struct pci_fn *fn, const struct pci_upstream *up);
void	pci_fn_follow(struct pci_fn *fn, const struct pci_upstream *up);

/* Stored registers.  fn->lock held, or in init. */
static inline uint32_t
pci_load(const struct pci_fn *fn, unsigned off, unsigned size)
{
	uint32_t v = 0;

	memcpy(&v, fn->cfg + off, size);
	return (v);
}

static inline void
pci_store(struct pci_fn *fn, unsigned off, unsigned size, uint32_t v)
{
	memcpy(fn->cfg + off, &v, size);
}

/* power.c; fn->lock held but in init and fini.  Functions without may be asked too. */

/* Add the capabilities that the identity asks for; -1 with a sentence. */
int	pci_power_init(struct pci_fn *fn, const struct pci_ident *ident);
void	pci_power_fini(struct pci_fn *fn);
/* Whether it is in D0. */
bool	pci_powered(const struct pci_fn *fn);
/* Whether an access is to the power state; and after such a write, whether it was in D0 before. */
bool	pci_power_concerns(const struct pci_fn *fn, unsigned off, unsigned size);
void	pci_power_written(struct pci_fn *fn, bool was_powered);
/* Whether the driver asked for a reset that is still to come: it does not answer. */
bool	pci_flr_pending(const struct pci_fn *fn);
/* Have it come, after a write or when the function goes on. */
void	pci_flr_update(struct pci_fn *fn);
void	pci_power_pause(struct pci_fn *fn);
int	pci_power_check(const struct pci_fn *fn);

#define	PCI_CMD_ACCESS	(PCI_CMD_IO | PCI_CMD_MEM | PCI_CMD_MASTER)

/*
 * The command register, as it holds, behind a port too: in D3hot a function does nothing but answer to its configuration (PM 5.4.1), and
 * from when its reset was asked for it does nothing at all (PCI Express 6.6.2).
 */
static inline uint16_t
pci_command(const struct pci_fn *fn)
{
	uint16_t cmd = (uint16_t)pci_load(fn, PCI_COMMAND, 2);

	if (!pci_powered(fn) || pci_flr_pending(fn))
		cmd = (cmd & (uint16_t)~PCI_CMD_ACCESS) | PCI_CMD_INTX_OFF;
	/* A port lets requests through in either direction by the bits of its own register (PCIe 7.5.1.1.3); a link that is down, nothing. */
	if (fn->port != NULL && fn->up.on)
		cmd &= (uint16_t)(fn->up.cmd | (uint16_t)~PCI_CMD_ACCESS);
	else if (fn->port != NULL)
		cmd = (cmd & (uint16_t)~PCI_CMD_ACCESS) | PCI_CMD_INTX_OFF;
	return (cmd);
}

/* Whether [off, off + size) and [reg, reg + len) meet. */
static inline bool
pci_covers(unsigned off, unsigned size, unsigned reg, unsigned len)
{
	return (off < reg + len && reg < off + size);
}

/* msix.c; fn->lock held but in fini */

extern const struct vm_state_table pci_msix_table;
bool	pci_msix_enabled(const struct pci_fn *fn);
/* Whether an access is to what says that vectors are used or masked. */
bool	pci_msix_concerns(const struct pci_fn *fn, unsigned off, unsigned size);
/* The handles follow the table, the control register and the command register. */
void	pci_msix_update(struct pci_fn *fn);
void	pci_msix_reset(struct pci_fn *fn);
void	pci_msix_pause(struct pci_fn *fn);
void	pci_msix_resume(struct pci_fn *fn);
void	pci_msix_fini(struct pci_fn *fn);
/* It has another requester from now on: its handles are made anew, masked until pci_msix_update(). */
void	pci_msix_renumber(struct pci_fn *fn);

/* msi.c; fn->lock held but in fini.  Functions without a message may be asked too. */

bool	pci_msi_enabled(const struct pci_fn *fn);
/* Whether an access is to the message's registers. */
bool	pci_msi_concerns(const struct pci_fn *fn, unsigned off, unsigned size);
/* The handle follows the registers. */
void	pci_msi_update(struct pci_fn *fn);
void	pci_msi_fini(struct pci_fn *fn);
/* The same as for vectors; masked until pci_msi_update(). */
void	pci_msi_renumber(struct pci_fn *fn);

#endif /* _HYVE_PCI_INTERNAL_H_ */
