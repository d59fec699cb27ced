/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * power.c - power states and resets of one PCI function: the capabilities by which a driver switches it off (PCI Bus Power Management 1.2,
 * D0 and D3hot) and resets it alone (function level reset: PCIe 6.6.2, or the conventional functions' Advanced Features).
 *
 * Both are registers, so they are state with the configuration space: a reset that was asked for is the bit by which it was.  The control thread does
 * it, since the device is paused for it as for any reset.  Until then the function does not answer (6.6.2 gives it 100 ms), and a
 * driver that looks early reads all ones, as from real hardware.
 */
#include <errno.h>

#include "../error.h"
#include "pci_internal.h"

#define	CAP_POWER	0x01		/* PM 3.2 */
#define	POWER_LEN	8
#define	R_PMC		2
#define	PMC_VERSION	3		/* PM 1.2; no D1, no D2, no power management events */
#define	R_PMCSR		4
#define	PMCSR_STATE	0x03U
#define	PMCSR_KEEPS	0x08U		/* No_Soft_Reset: all is as it was when it comes back from D3hot */
#define	D0		0U
#define	D3HOT		3U

#define	CAP_EXPRESS	0x10		/* PCIe 7.5.3; all up to Slot Status 2, of which it has little */
#define	EXPRESS_LEN	0x3c
#define	R_EXPRESS	2
#define	EXPRESS_KIND	0x0092		/* version 2, endpoint of the root complex: it has no link */
#define	EXPRESS_BEHIND	0x0002		/* version 2, endpoint behind a port */
#define	R_DEVCAP	4
#define	DEVCAP_ROLE	0x00008000U	/* role-based error reporting, which every function has */
#define	DEVCAP_FLR	0x10000000U
#define	R_DEVCTL	8
#define	DEVCTL_INITIAL	0x2810U		/* relaxed ordering, no snoop, read requests of 512 bytes */
#define	DEVCTL_WRITABLE	0xf81fU		/* those, errors to report, and the reset; payloads are of 128 bytes */

/* The link to a port: one lane of 2.5 GT/s, without power states. */
#define	R_LINKCAP	0x0c
#define	R_LINKSTA	0x12
#define	R_LINKCAP2	0x2c
#define	LINK		0x0011U
#define	LINKCAP2_25	0x0002U

#define	CAP_AF		0x13		/* PCI: Advanced Capabilities for Conventional PCI, engineering change of 2006 */
#define	AF_LEN		6
#define	R_AF_LENGTH	2
#define	R_AF_CAP	3
#define	AF_CAP_TP_FLR	0x03U		/* transactions pending can be asked for; and the reset */
#define	R_AF_CONTROL	4
#define	AF_FLR		0x01U

static void
fill16(struct pci_fn *fn, unsigned off, uint16_t val)
{
	pci_fill(fn, off, &val, sizeof(val));
}

static unsigned
add_express(struct pci_fn *fn)
{
	const uint32_t devcap = DEVCAP_ROLE | DEVCAP_FLR;
	unsigned cap = pci_add_cap(fn, CAP_EXPRESS, EXPRESS_LEN);

	if (cap == 0)
		return (0);
	fill16(fn, cap + R_EXPRESS, fn->port != NULL ? EXPRESS_BEHIND : EXPRESS_KIND);
	if (fn->port != NULL) {
		fill16(fn, cap + R_LINKCAP, LINK);
		fill16(fn, cap + R_LINKSTA, LINK);
		fill16(fn, cap + R_LINKCAP2, LINKCAP2_25);
	}
	pci_fill(fn, cap + R_DEVCAP, &devcap, sizeof(devcap));
	fill16(fn, cap + R_DEVCTL, DEVCTL_INITIAL);
	pci_writable(fn, cap + R_DEVCTL, 2, DEVCTL_WRITABLE);
	fn->flr_reg = (uint8_t)(cap + R_DEVCTL + 1);
	fn->flr_bit = 0x80;
	return (cap);
}

static unsigned
add_af(struct pci_fn *fn)
{
	static const uint8_t regs[] = { AF_LEN, AF_CAP_TP_FLR };
	unsigned cap = pci_add_cap(fn, CAP_AF, AF_LEN);

	if (cap == 0)
		return (0);
	pci_fill(fn, cap + R_AF_LENGTH, regs, sizeof(regs));
	pci_writable(fn, cap + R_AF_CONTROL, 1, AF_FLR);
	fn->flr_reg = (uint8_t)(cap + R_AF_CONTROL);
	fn->flr_bit = AF_FLR;
	return (cap);
}

static unsigned
add_power(struct pci_fn *fn)
{
	unsigned cap = pci_add_cap(fn, CAP_POWER, POWER_LEN);

	if (cap == 0)
		return (0);
	fill16(fn, cap + R_PMC, PMC_VERSION);
	fill16(fn, cap + R_PMCSR, PMCSR_KEEPS);
	pci_writable(fn, cap + R_PMCSR, 1, PMCSR_STATE);
	fn->power_cap = (uint8_t)cap;
	return (cap);
}

/* Control thread, as pause and fini are: what they took back does not come. */
static void
flr_due(void *arg)
{
	struct pci_fn *fn = arg;

	if (device_restart(fn->dev) != 0)
		device_log(fn->dev, LOG_LEVEL_ERROR, "function level reset: %s", vmm_errmsg());
}

int
pci_power_init(struct pci_fn *fn, const struct pci_ident *ident)
{
	if (ident->power && add_power(fn) == 0)
		return (vmm_fail(ENOSPC, "%s: no room for power management", fn->dev->name));
	if (ident->flr == PCI_FLR_NONE)
		return (0);
	if ((ident->flr == PCI_FLR_EXPRESS ? add_express(fn) : add_af(fn)) == 0)
		return (vmm_fail(ENOSPC, "%s: no room for a function level reset", fn->dev->name));
	fn->flr = event_timer_add(fn->dev->vmm->loop, flr_due, fn);
	return (fn->flr != NULL ? 0 : vmm_fail(ENOMEM, "%s: no memory", fn->dev->name));
}

void
pci_power_fini(struct pci_fn *fn)
{
	event_remove(fn->flr);
	fn->flr = NULL;
}

bool
pci_powered(const struct pci_fn *fn)
{
	return (fn->power_cap == 0 || (fn->cfg[fn->power_cap + R_PMCSR] & PMCSR_STATE) == D0);
}

bool
pci_power_concerns(const struct pci_fn *fn, unsigned off, unsigned size)
{
	return (fn->power_cap != 0 && pci_covers(off, size, fn->power_cap + R_PMCSR, 1));
}

/* PM 3.2.4: a state that it does not have is not taken. */
void
pci_power_written(struct pci_fn *fn, bool was_powered)
{
	uint8_t *csr = &fn->cfg[fn->power_cap + R_PMCSR];
	unsigned state = *csr & PMCSR_STATE;

	if (state != D0 && state != D3HOT)
		*csr = (uint8_t)((*csr & ~PMCSR_STATE) | (was_powered ? D0 : D3HOT));
}

bool
pci_flr_pending(const struct pci_fn *fn)
{
	return (fn->flr_reg != 0 && (fn->cfg[fn->flr_reg] & fn->flr_bit) != 0);
}

void
pci_flr_update(struct pci_fn *fn)
{
	if (pci_flr_pending(fn))
		event_timer_arm(fn->flr, 0);
}

void
pci_power_pause(struct pci_fn *fn)
{
	if (fn->flr != NULL)
		event_timer_disarm(fn->flr);
}

int
pci_power_check(const struct pci_fn *fn)
{
	unsigned state = fn->power_cap != 0 ? fn->cfg[fn->power_cap + R_PMCSR] & PMCSR_STATE : D0;

	return (state == D0 || state == D3HOT ? 0 : vm_state_complain("power state D%u, which there is not", state));
}
