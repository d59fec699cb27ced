/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * passthru.h - a PCI device of the host as a function of the guest's: what of its configuration space is shown (passthru_cfg.c), its message vectors
 * (passthru_msix.c), and the device (passthru.c).
 *
 * Section numbers are those of the PCI Local Bus specification 3.0 (PCI) and the PCI Express Base specification 4.0 (PCIe).
 */
#ifndef _HYVE_PASSTHRU_H_
#define	_HYVE_PASSTHRU_H_

#include "pci.h"

#define	PASSTHRU_CFG	256		/* bytes of configuration space that are looked at for capabilities */
#define	PASSTHRU_CAPS	16
#define	PASSTHRU_SERIAL	12		/* bytes of the serial number's capability */
#define	PASSTHRU_VECTORS 2048		/* MSI-X, at most (PCI 6.8.2.3) */

/* A PCI address of the host. */
struct passthru_addr {
	int		 bus, slot, func;	/* as libvmmapi has them: bus with the domain */
};

/* A capability that the guest reads and writes in the device itself. */
struct passthru_cap {
	uint8_t		 id, len;
	uint8_t		 host;			/* where the device has it */
	uint8_t		 guest;			/* where the guest sees it; 0: not yet */
};

/* Part of a BAR. */
struct passthru_part {
	unsigned	 bar;
	uint64_t	 off, len;
};

/* What the guest is shown of a device. */
struct passthru_plan {
	struct pci_ident ident;
	struct {
		enum pci_bar_kind kind;
		uint64_t size;
	} bar[PCI_NBARS];
	unsigned	 nmsi;			/* messages of MSI; 0: none */
	unsigned	 nmsix;			/* vectors; 0: none */
	struct passthru_part table, pba;	/* of the vectors */
	struct passthru_cap cap[PASSTHRU_CAPS];
	unsigned	 ncaps;
	bool		 has_serial;
	uint8_t		 serial[PASSTHRU_SERIAL];
};

/*
 * An address in one of its forms: "0000:03:00.0" or "03:00.0", in hexadecimal as Linux has it; "3/0/0" or "pci3:0:0" or "pci0:3:0:0", in
 * decimal, as FreeBSD has it.  -1 with a sentence.
 */
int	passthru_parse(const char *text, struct passthru_addr *addr);

/*
 * What to show of a device, whose configuration space has len bytes, 256 or 4096; they are the device's, and so may be anything.  hide is told of
 * each capability that is not shown, and why.  -1 with a sentence: it is no device for a guest.
 */
int	passthru_plan(const uint8_t *cfg, size_t len, const struct vm_pptdev_info *info, struct passthru_plan *plan,
	    void (*hide)(void *arg, const char *what, const char *why), void *arg);
/* The parts of BAR n that can be mapped into the guest: all but the pages with vectors in them.  At most 3; how many. */
unsigned passthru_parts(const struct passthru_plan *plan, unsigned n, uint64_t page, struct passthru_part part[3]);

/* passthru_msix.c: the table, which the guest never reaches itself. */
struct passthru_msix {
	pthread_mutex_t	 lock;
	const struct passthru_plan *plan;
	uint32_t	 (*entry)[4];		/* PCI 6.8.2.6 */
	bool		 on, masked;		/* the control register's */
	void		 (*set)(void *arg, unsigned vec, uint64_t addr, uint32_t data, bool masked);
	bool		 (*pending)(void *arg, unsigned vec);
	void		 *arg;
};

/* -1 with a sentence.  set and pending are called with the lock held. */
int	passthru_msix_init(struct passthru_msix *m, const struct passthru_plan *plan);
void	passthru_msix_fini(struct passthru_msix *m);
/* All vectors are masked, and nothing is sent. */
void	passthru_msix_reset(struct passthru_msix *m);
/* The control register says this now. */
void	passthru_msix_control(struct passthru_msix *m, bool on, bool masked);
/* An access to BAR n: true if it is to the table or the pending bits, and done; bad: it was none that is defined, and did nothing. */
bool	passthru_msix_read(struct passthru_msix *m, unsigned n, uint64_t off, unsigned size, uint64_t *val, bool *bad);
bool	passthru_msix_write(struct passthru_msix *m, unsigned n, uint64_t off, unsigned size, uint64_t val, bool *bad);

#endif /* _HYVE_PASSTHRU_H_ */
