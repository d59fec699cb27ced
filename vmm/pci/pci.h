/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pci.h - PCI Express functions and the host bridge's configuration space.
 *
 * Section numbers are those of the PCI Local Bus specification 3.0 (PCI) and the PCI Express Base
 * specification 4.0 (PCIe).
 *
 * A PCI device's struct has a struct pci_fn; its class says DEVICE_ON_PCI and its init calls
 * pci_init(), then adds capabilities, BARs and message vectors, which are fixed from then on.  What
 * the guest can change of them is state, declared by PCI_STATE().  The function's registers, BARs and
 * vectors are pci.c's; the device hears of what it needs to know by struct pci_ops.
 *
 * fn->lock guards the struct; pci_*() functions take it.  The ops are called without it, one at a
 * time in a segment (its lock is held), on the thread of the vCPU that wrote, or on the control
 * thread.  A device may hold its own lock while it calls the functions for devices below, and may
 * take it in the ops.
 */
#ifndef _HYVE_PCI_H_
#define	_HYVE_PCI_H_

#include <pthread.h>

#include "../device.h"

#define	PCI_NBARS	6
#define	PCI_ROM		6		/* the expansion ROM, as if it were a BAR behind the others */
#define	PCI_NDECODERS	7
#define	PCI_CFG_LEN	4096		/* PCIe 7.2: configuration space of a function */
#define	PCI_MSIX_MAX	64		/* vectors of a function, at most */

#define	PCI_DEVFN(dev, fn)	((uint8_t)((dev) << 3 | (fn)))
#define	PCI_SLOT(devfn)		((unsigned)(devfn) >> 3)

/* Command register (PCI 6.2.2). */
#define	PCI_CMD_IO		0x0001
#define	PCI_CMD_MEM		0x0002
#define	PCI_CMD_MASTER		0x0004
#define	PCI_CMD_INTX_OFF	0x0400

struct pci_host;
struct pci_fn;

/* How a driver resets one function: by the PCI Express capability (PCIe 6.6.2), or as a conventional one does. */
enum pci_flr { PCI_FLR_NONE, PCI_FLR_EXPRESS, PCI_FLR_CONVENTIONAL };

/* What a function is (PCI 6.2.1), and what a driver can do to it as a whole (power.c). */
struct pci_ident {
	uint16_t	vendor, device, subvendor, subdevice;
	uint32_t	class_code;	/* base class << 16 | subclass << 8 | interface */
	uint8_t		revision;
	bool		intx;		/* has interrupt pin A: place.irq[0] */
	bool		bridge;		/* its header is of type 1 (PCI-to-PCI Bridge Architecture 3.2), without BARs: it has what is from 0x18 on */
	bool		power;		/* can be switched off: D3hot, where it has no BARs, no interrupts and no access to memory */
	enum pci_flr	flr;		/* the device is paused, reset and resumed for it, with the VM paused */
};

enum pci_bar_kind { PCI_BAR_NONE, PCI_BAR_IO, PCI_BAR_MEM32, PCI_BAR_MEM64, PCI_BAR_ROM };

/* An access to a BAR, as to a range: off within it.  write NULL: writes do nothing. */
struct pci_bar_ops {
	uint64_t (*read)(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size);
	void	(*write)(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val);
};

/* What a device wants to hear of.  Any may be NULL. */
struct pci_ops {
	/*
	 * BAR n decodes at addr now, or (mapped false) nowhere: doorbells follow.  Told again when the BAR of another
	 * function that was in the same place has left it.  Not told when the function goes.
	 */
	void	(*bar_moved)(struct pci_fn *fn, unsigned n, bool mapped, uint64_t addr);
	/*
	 * The command register was written, the function switched on or off, or registers of the port that it is behind changed: cmd is what
	 * holds now, without I/O, memory and bus in D3hot, and without what the port does not let through.
	 */
	void	(*command)(struct pci_fn *fn, uint16_t cmd);
	/* Registers behind the header, or of a bridge's from 0x18 on, of which the device made some writable: the bytes are stored already. */
	void	(*cap_written)(struct pci_fn *fn, unsigned off, unsigned size);
	/* Reads of the same: true if the device answers, false for what is stored. */
	bool	(*cap_read)(struct pci_fn *fn, unsigned off, unsigned size, uint32_t *val);
};

struct pci_bar {
	enum pci_bar_kind kind;
	uint64_t	 size;		/* a power of 2 */
	const struct pci_bar_ops *ops;
	void		*arg;
	struct vm_range	*range;		/* while it decodes */
	uint64_t	 addr;		/* where */
};

/* Addresses from base to limit; none if base is above. */
struct pci_window {
	uint64_t	 base, limit;
};

/* What a port lets through to the function behind it. */
struct pci_upstream {
	bool		 on;		/* the function can be reached; false: it is as if it was switched off */
	uint8_t		 bus;		/* number of the bus that it is on: the guest's choice */
	uint16_t	 cmd;		/* of the port's command register: I/O, memory and the way to memory */
	struct pci_window io, mem, pref;
};

/* A port (root_port.c): one function can be behind it, as device 0.  The segment's lock guards it. */
struct pci_port {
	struct pci_port	*next;		/* of the segment */
	struct pci_fn	*fn;		/* its own function */
	struct pci_fn	*behind;	/* NULL: nothing is there */
	struct pci_upstream up;
};

struct pci_msix_vector {
	struct vm_irq	*irq;
	/* state: the table entry (PCI 6.8.2); the pending bit is the handle's */
	uint64_t	 addr;
	uint32_t	 data, control;
	uint8_t		 pending;	/* as saved */
};

struct pci_fn {
	struct device	*dev;
	struct pci_host	*host;
	const struct pci_ops *ops;
	uint8_t		 devfn;
	struct pci_port	*port;			/* that it is behind; NULL: it is on bus 0 */
	struct pci_upstream up;			/* what that lets through */
	bool		 bridge;
	bool		 multi;		/* function 0 of a device with several (PCI 6.2.1); the segment's lock */
	pthread_mutex_t	 lock;
	struct pci_bar	 bar[PCI_NDECODERS];
	uint8_t		*rom;			/* rom.c; NULL: none */
	size_t		 romlen;
	uint8_t		 nmsix;
	uint8_t		 msix_bar, msix_cap;
	struct vm_irq	*msi;			/* msi.c; NULL: none */
	uint8_t		 msi_cap;
	uint8_t		 power_cap;		/* power.c; 0: none */
	uint8_t		 flr_reg, flr_bit;	/* a driver asks for a reset by this bit of this byte; 0: it cannot */
	struct event	*flr;			/* timer; NULL: it cannot */
	uint16_t	 cap_end;		/* next free byte for a capability */
	uint8_t		 cap_last;		/* link of the list to fill */
	uint8_t		 wmask[PCI_CFG_LEN];	/* bits that the guest can write */
	uint8_t		 cmask[PCI_CFG_LEN];	/* bits that it clears by writing ones */
	uint8_t		 initial[PCI_CFG_LEN];	/* after reset; what of it is read-only stays so */
	/* state */
	uint8_t		 cfg[PCI_CFG_LEN];
	struct pci_msix_vector msix[PCI_MSIX_MAX];
	bool		 intx;			/* what the device wants of its pin */
};

extern const struct vm_state_table pci_state_table;
/* State field of a device's struct s with member fn. */
#define	PCI_STATE(s)	VM_STATE_STRUCT(s, fn, &pci_state_table)

/* pci.c - functions.  Control thread, in the class's init, unless said otherwise. */

/*
 * Take place in dev->place.pci at dev->place.devfn, or behind dev->place.port as its device 0.  -1 with a sentence (no segment, the slot is taken);
 * afterwards whoever fails calls pci_fini().
 */
int	pci_init(struct pci_fn *fn, struct device *dev, const struct pci_ident *ident, const struct pci_ops *ops);
/* Add a BAR, of at least 16 bytes, or with n PCI_ROM a ROM; -1 with a sentence. */
int	pci_add_bar(struct pci_fn *fn, unsigned n, enum pci_bar_kind kind, uint64_t size,
	    const struct pci_bar_ops *ops, void *arg);
/*
 * Add a capability of len bytes (its two first included); its offset, 0 if there is no room.  Bytes
 * are 0 until pci_fill() and read-only until pci_writable().
 */
unsigned pci_add_cap(struct pci_fn *fn, uint8_t id, unsigned len);
/* Give registers their power-on values. */
void	pci_fill(struct pci_fn *fn, unsigned off, const void *bytes, unsigned len);
/* Let the guest write the bits of mask, which repeats every four bytes from off on. */
void	pci_writable(struct pci_fn *fn, unsigned off, unsigned len, uint32_t mask);
/* Let it clear the bits of mask by writing ones to them; the device sets them.  The mask repeats as above. */
void	pci_clearable(struct pci_fn *fn, unsigned off, unsigned len, uint32_t mask);
/* Add nvec message vectors, with table and pending bits as a BAR n of their own; -1 with a sentence. */
int	pci_add_msix(struct pci_fn *fn, unsigned nvec, unsigned n);
/* Add the capability to send one message (MSI), for devices that have it instead of vectors; -1 with a sentence. */
int	pci_add_msi(struct pci_fn *fn);
/* From the class's fini, reset, pause and (after state may have been loaded) resume, without locks. */
void	pci_fini(struct pci_fn *fn);
void	pci_reset(struct pci_fn *fn);
void	pci_pause(struct pci_fn *fn);
void	pci_resume(struct pci_fn *fn);

/* For devices; any thread. */

/* Registers of the function as they are stored: size 1, 2 or 4, within the configuration space. */
uint32_t pci_get(struct pci_fn *fn, unsigned off, unsigned size);
void	pci_put(struct pci_fn *fn, unsigned off, unsigned size, uint32_t val);
/* Whether the driver uses message vectors (else the pin). */
bool	pci_msix_on(struct pci_fn *fn);
/*
 * Send vector vec, or note it as pending while it is masked or the function may not send (no
 * PCI_CMD_MASTER).  Nothing while the driver does not use message vectors.
 */
void	pci_msix_raise(struct pci_fn *fn, unsigned vec);
/* Send the message of pci_add_msi(): nothing while the driver does not use it or the function may not send. */
void	pci_msi_raise(struct pci_fn *fn);
/* Level of the pin; PCI_CMD_INTX_OFF and the status bit are seen to. */
void	pci_intx(struct pci_fn *fn, bool level);
/* Who sends its messages: bus, device and function, as the guest counts buses.  fn->lock held, or in init. */
uint32_t pci_requester(const struct pci_fn *fn);
/* Whether it may read and write guest memory. */
bool	pci_master(struct pci_fn *fn);

/* host.c - the segment.  Control thread, unless said otherwise. */

struct pci_host_spec {
	uint64_t	ecam;		/* configuration window of 256 buses (PCIe 7.2.2); 0: none */
	bool		ports;		/* configuration ports 0xcf8 to 0xcff */
	uint64_t	io_window;	/* where port 0 is in memory, on a machine that has no ports; 0: it has */
	/* Windows for BARs that the machine assigns (no firmware); limits are exclusive. */
	uint64_t	io_base, io_limit, mem32_base, mem32_limit, mem64_base, mem64_limit;
};

struct pci_host *pci_host_new(struct vmm *vmm, const struct pci_host_spec *spec);
/* After the devices in it.  NULL is ignored. */
void	pci_host_free(struct pci_host *host);
/* The function at devfn of bus 0, NULL. */
struct pci_fn *pci_host_fn(struct pci_host *host, uint8_t devfn);
/*
 * Ports, for root_port.c.  A port is one from pci_host_add_port() on, with its function in place; nothing is behind it when it is removed.
 * Control thread.
 */
void	pci_host_add_port(struct pci_host *host, struct pci_port *port);
void	pci_host_remove_port(struct pci_host *host, struct pci_port *port);
/* The port that a function is; NULL: it is none.  And what it lets through now. */
struct pci_port *pci_host_port(struct pci_host *host, const struct pci_fn *fn);
void	pci_host_up(struct pci_host *host, const struct pci_port *port, struct pci_upstream *up);
/*
 * Do what firmware does (assign.c): give the bus behind each port the number of the port's slot, give every BAR an address from the windows,
 * largest first, and ports windows in which there is also room for what is plugged in later, and switch decoding on; interrupt line registers
 * from place.irq[0].  For direct boot, after each reset.  -1 with a sentence (a window is full).
 */
int	pci_host_assign(struct pci_host *host);
/*
 * Where the configuration window of 256 buses is, 0: nowhere.  Also from the ops (PCIEXBAR of the host
 * bridge moves it).  Returns -1 with a sentence, and then there is none, if something else is there.
 */
int	pci_host_set_ecam(struct pci_host *host, uint64_t base);
/* The same with a window of fewer buses: a power of 2. */
int	pci_host_set_ecam_buses(struct pci_host *host, uint64_t base, unsigned buses);
uint64_t pci_host_ecam(const struct pci_host *host);
/*
 * Have fn called whenever the pin of a function may have changed, with the function's lock held: a router of pins that are shared.
 * NULL: no more.  Control thread, while no function is resumed.
 */
void	pci_host_on_pin(struct pci_host *host, void (*fn)(void *arg, uint8_t devfn, bool level), void *arg);
/* What firmware leaves in the interrupt line registers: of slot d line[d % n].  Control thread, vCPUs parked. */
void	pci_host_set_lines(struct pci_host *host, const uint8_t *line, unsigned n);
/* Port 0xcf8, which whoever saves and resets the host bridge sees to.  Control thread, vCPUs parked. */
uint32_t pci_host_address(struct pci_host *host);
void	pci_host_set_address(struct pci_host *host, uint32_t address);

#endif /* _HYVE_PCI_H_ */
