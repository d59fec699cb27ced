/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * device.h - what a device model is: one source file that ends in one DEVICE_CLASS().
 *
 * From the class come the device's configuration keys with their checks, its help and manual
 * section, its life cycle and its snapshot.  There is no list of devices: a class registers
 * itself by being linked.
 *
 * THREADS AND LOCKS.  Three kinds of threads meet in a device:
 *
 *   control	the thread of the event loop (struct vmm.loop).  It makes and ends devices, resets,
 *		pauses and resumes them, and calls what they asked the loop for: descriptors,
 *		host timers, posted work.
 *   vCPUs	call range handlers and doorbell notify functions, with no lock held.
 *   library	libvmmapi's own threads: vm_timer callbacks, end-of-interrupt callbacks, with no lock held.
 *
 * A device has a lock of its own and takes it in every handler and callback.  The lifecycle
 * callbacks are called without it.  Interrupt handles, write sections and the event loop's
 * functions may be used with it held, but event_remove(), vm_timer_close() and vm_irq_close()
 * not, when the callback that they wait for takes it.
 *
 * LIFE.  init, then reset, then any number of (pause, [state saved or loaded], resume),
 * (reset), and fini.
 */
#ifndef _HYVE_DEVICE_H_
#define	_HYVE_DEVICE_H_

#include <vmmapi.h>
#include <vmmapi/state.h>

#include "config/config.h"
#include "event/event.h"
#include "log.h"

struct block;
struct chardev;
struct device;
struct pci_host;
struct pci_port;

/* What a device can be attached to.  The machine picks one of them. */
#define	DEVICE_ON_MMIO		0x01U	/* a range of guest-physical addresses and interrupt lines */
#define	DEVICE_ON_IO		0x02U	/* a range of I/O ports and interrupt lines */
#define	DEVICE_ON_PCI		0x04U	/* a PCI function */
#define	DEVICE_ON_VIRTIO	0x08U	/* a virtio transport, which is itself on MMIO or PCI */

#define	DEVICE_MAXIRQ	4		/* interrupts of a device on MMIO or ports, at most */

/* Who holds the VM (hold.h); hold.c's. */
struct vmm_hold {
	unsigned	 count;
	struct vmctx	*stopped;	/* the VM that was paused for it */
	event_fn	*later;		/* to be called behind the last release */
	void		*later_arg;
	void		(*changed)(void *arg, bool held);
	void		*changed_arg;
};

/* Who is told, on the control thread, what became of devices that were to be taken out (machine/plug.h); id NULL: it has none. */
struct vmm_plug {
	void		(*gone)(void *arg, const char *id, const char *name);
	void		(*kept)(void *arg, const char *id, const char *name);	/* the guest does not let go of it */
	void		*arg;
};

/* The VM around a set of devices: what its owner fills in before the first device. */
struct vmm {
	struct vmctx	*vm;
	struct event_loop *loop;
	struct log	*log;		/* may be NULL */
	struct config	*config;
	struct device	*devices;	/* the registry's, in order of creation */
	bool		 paused;	/* the registry's */
	struct vmm_hold	 hold;
	struct vmm_plug	 plug;
};

/* Where the machine puts a device. */
struct device_place {
	unsigned	 on;		/* DEVICE_ON_MMIO, _IO or _PCI */
	uint64_t	 base;		/* MMIO, IO: first address */
	unsigned	 nirqs;
	struct vm_irq	*irq[DEVICE_MAXIRQ];	/* opened and closed by the machine; they outlive the device */
	struct chardev	*chardev;	/* serial ports: a back end instead of the keys', or NULL */
	struct pci_host	*pci;		/* PCI: the segment, and where on its bus 0 */
	uint8_t		 devfn;
	struct pci_port	*port;		/* or, with devfn 0, behind this port; NULL: not */
	uint8_t		 bus;		/* the bus's number in names of keys: the port's slot, or 0 */
};

/* A property of a device's devicetree node: a cell, or one without a value. */
struct device_property {
	const char	*name;		/* NULL ends the list */
	bool		 cell;
	uint32_t	 val;
};
#define	DEVICE_MAXPROPS	4
#define	DEVICE_PROP_CELL(n, v)	{ .name = (n), .cell = true, .val = (v) }
#define	DEVICE_PROP_FLAG(n)	{ .name = (n) }

/*
 * What a device says about itself to whoever builds firmware tables; strings are constants.
 * Only the device knows these; addresses and interrupts the machine knows.
 */
struct device_description {
	const char	*compatible;	/* devicetree: separated by blanks, the nearest first; NULL: none */
	const char	*hid;		/* ACPI; NULL: none */
	const char	*node;		/* devicetree: generic name of its node (DTSpec 2.2.2); NULL: the class's */
	uint32_t	 clock_hz;	/* of its clock; 0: none, or any */
	const char	*clocks;	/* devicetree: names of its clock inputs, separated by blanks; NULL: clock-frequency */
	uint64_t	 len;		/* bytes it has on MMIO; 0: the class's range_len */
	bool		 dma_coherent;	/* it reaches memory as the processors see it */
	struct device_property prop[DEVICE_MAXPROPS];	/* devicetree: what else is in the node */
};

/* A disk that a device is, or one of several that are attached to it. */
struct device_disk {
	char		 keys[16];	/* where its keys are, behind the device's: "", ".port.3" */
	bool		 removable;	/* a drive */
	struct block	*image;		/* NULL: there is no medium in it */
};

struct device_class {
	const char	*name;		/* "uart", as in the configuration */
	const char	*doc;		/* one line, no capital, no dot */
	unsigned	 on;		/* DEVICE_ON_* it can be attached to */
	uint64_t	 range_len;	/* bytes it claims on MMIO or ports; 0: the bus decides */
	unsigned	 nirqs;		/* interrupts it drives on MMIO or ports */
	size_t		 size;		/* of its struct, dev->soft: zeroed memory */
	struct config_keys keys;
	const struct vm_state_table *state;	/* of its struct; NULL: nothing to save */
	bool	 hot;			/* it can be put in and taken out while the guest runs */
	bool	 line;			/* it is one end of a line of characters; what is at the other end its key "path" says (CHARDEV_KEY) */
	/*
	 * What firmware calls it when it boots from it as a PCI function: an Open Firmware node without the place, and what is below, as
	 * "scsi/disk@0,0".  Its keys have DEVICE_BOOT_KEY then.  NULL: nobody boots from it.
	 *
	 * Of a controller with boot_units places to boot from, a # in it is the number of one, and in boot_key, the name of the key of
	 * each: "port.#.bootindex".  0: the device is the only one.
	 */
	const char	*boot, *boot_key;
	unsigned	 boot_units;

	/*
	 * Take resources and become ready to be reset: read keys (they were checked, and may
	 * not be read later), open files, claim ranges.  Returns -1 with a sentence in
	 * vmm_errmsg() after giving back what it took; fini is not called then.
	 *
	 * Control thread; no vCPU runs, or the guest cannot know of the device yet.
	 */
	int	(*init)(struct device *dev);

	/*
	 * Give everything back.  After it nothing of the device is called any more; for its
	 * ranges, the registry calls vm_range_sync() between fini and the end of dev->soft.
	 *
	 * Control thread; vCPUs may run (hot unplug).  The device is paused.
	 */
	void	(*fini)(struct device *dev);

	/*
	 * Power-on state: the state fields get their first values, interrupts are lowered,
	 * requests are dropped or waited for.  Host resources stay.
	 *
	 * Control thread; vCPUs are parked or not started, or the guest cannot reach the device
	 * yet.  The device is paused or was never resumed.
	 */
	void	(*reset)(struct device *dev);

	/*
	 * PAUSE AND DRAIN.  After it returns no request is in flight, no guest memory is
	 * written, no interrupt is raised or lowered, no host input is taken, and the state
	 * fields say all there is.  It waits for requests, or takes them back so that the state
	 * shows them as not begun.
	 *
	 * Control thread.  vCPUs are parked (vm_pause()), so no handler runs and none will;
	 * callbacks of libvmmapi's threads may be under way and are waited for by taking the
	 * device's lock.  Called once before each resume.
	 */
	void	(*pause)(struct device *dev);

	/*
	 * Take it up again from the state fields alone: recompute and drive interrupt levels,
	 * arm timers, watch descriptors, look at queues for work that came meanwhile.  The
	 * state may be another one than pause left: a loaded snapshot, or after reset.
	 *
	 * Control thread; vCPUs are still parked or not started, or the guest cannot reach the
	 * device yet.  The first resume comes after init and reset.
	 */
	void	(*resume)(struct device *dev);

	/*
	 * Before its state is saved: -1 with a sentence if what it has to do with cannot be in a snapshot.  NULL: all of it can.
	 * Control thread; the device is paused.
	 */
	int	(*saving)(struct device *dev);
	/*
	 * The machine is paused: what the files behind the device do not have yet gets there; what fails is in the log.  NULL: they have all.
	 * Control thread, behind pause.
	 */
	void	(*settle)(struct device *dev);

	/* Fill *disk, which is zeroed, for the i-th disk; false behind the last.  NULL: it has none.  Control thread, after init. */
	bool	(*disk)(struct device *dev, unsigned i, struct device_disk *disk);

	/* Fill *desc, which is zeroed.  NULL: it has no place in firmware tables.  Control thread, after init. */
	void	(*describe)(struct device *dev, struct device_description *desc);
};

#define	DEVICE_BOOT_MAX	255
#define	DEVICE_BOOT_KEY		DEVICE_BOOT_KEY_AT("")
#define	DEVICE_BOOT_KEY_AT(prefix)							\
	KEY_INT(prefix "bootindex", -1, -1, DEVICE_BOOT_MAX, "place in the order in which firmware boots, 0 first; -1: wherever it likes")

/* One device of a VM. */
struct device {
	const struct device_class *cls;
	struct vmm	*vmm;
	struct device	*next, *prev;	/* in vmm->devices */
	char		*name;		/* instance: "com1"; for sentences, logs and snapshots */
	struct config_node *config;	/* where its keys are */
	struct device_place place;
	void		*soft;		/* cls->size bytes: the device's struct */
	char		 boot_unit[20];	/* its init's: what follows cls->boot in its name for firmware; "" for most */
	struct log_rate	 rate;		/* for log_guest() */
};

/*
 * Register a class.  Arguments after keys and state are designated initializers of struct
 * device_class:
 *
 *	DEVICE_CLASS(vdisk, "vdisk", "a disk", vdisk_keys, &vdisk_state, .init = vdisk_init, ...);
 *
 * keys is an array of struct config_key; state may be NULL.
 */
#define	DEVICE_CLASS(sym, nm, docline, keyarray, statetable, ...)			\
	static const struct device_class device_class_##sym = {				\
		.name = (nm), .doc = (docline),						\
		.keys = { (keyarray), sizeof(keyarray) / sizeof((keyarray)[0]) },	\
		.state = (statetable), __VA_ARGS__					\
	};										\
	static const struct device_class *const device_entry_##sym			\
	    __attribute__((used, section("hyve_device"))) = &device_class_##sym
/* For a class without keys. */
#define	DEVICE_CLASS_NOKEYS(sym, nm, docline, statetable, ...)				\
	static const struct device_class device_class_##sym = {				\
		.name = (nm), .doc = (docline), .state = (statetable), __VA_ARGS__	\
	};										\
	static const struct device_class *const device_entry_##sym			\
	    __attribute__((used, section("hyve_device"))) = &device_class_##sym

/* The i-th class by name, NULL behind the last.  Any thread. */
const struct device_class *device_class_at(unsigned i);
/* The class called name, NULL with ENOENT and a sentence that tells the nearest.  Any thread. */
const struct device_class *device_class_find(const char *name);
/* For config_declare_slots(): the keys of the class called device. */
const struct config_keys *device_class_keys(const char *device);
/* The selector of device slots: "device". */
extern const struct config_key device_selector;

/*
 * Make device name of class cls at place with the keys of node config, whose table has been
 * declared there: check the keys, init, reset.  It is paused until devices_resume().
 *
 * Errors: EINVAL (a key, or a place that the class cannot be at), EEXIST (the name), those of
 * init; ENOMEM.
 * Control thread.
 */
struct device *device_create(struct vmm *vmm, const struct device_class *cls, const char *name,
	    struct config_node *config, const struct device_place *place);
/* End a device, pausing it first if needed.  NULL is ignored.  Control thread. */
void	device_destroy(struct device *dev);
/* End all, the last made first.  Control thread. */
void	devices_destroy(struct vmm *vmm);

/*
 * Pause all devices, the last made first, and drain the event loop; resume them, the first made
 * first.  The caller has stopped the vCPUs by vm_pause(), or none has started.  A vmm begins
 * paused; both are no-ops when there is nothing to do.
 *
 * Control thread.
 */
void	devices_pause(struct vmm *vmm);
void	devices_resume(struct vmm *vmm);
/* Reset all.  They are paused.  Control thread. */
void	devices_reset(struct vmm *vmm);

/*
 * Put one device into its power-on state while the others are at work: it is paused, reset and resumed, with the vCPUs parked meanwhile.
 * -1 with a sentence if the VM cannot be paused.  Not while devices are paused.  Control thread, in no callback of the device that
 * holds a lock.
 */
int	device_restart(struct device *dev);

/*
 * Append a section per device that has state; read them back into the same devices.  Paused.
 * After a failed load the VM is to be reset or destroyed.  Errors: EBUSY (not paused), those of
 * vm_state_put() and vm_state_get().  Control thread.
 */
int	devices_save(struct vmm *vmm, struct vm_state_out *out);
int	devices_load(struct vmm *vmm, struct vm_state_in *in);

/* The device called name, NULL if there is none.  Control thread. */
struct device *device_lookup(struct vmm *vmm, const char *name);

/* Say something as the device; and the same, limited, for what a guest causes.  Any thread. */
#define	device_log(dev, level, ...)	log_msg((dev)->vmm->log, (level), (dev)->name, __VA_ARGS__)
#define	device_guest_log(dev, ...)	log_guest((dev)->vmm->log, &(dev)->rate, (dev)->name, __VA_ARGS__)

/* Claim [base, base + len) of the place of a device on MMIO or ports.  NULL with a sentence.  Control thread. */
struct vm_range *device_claim(struct device *dev, uint64_t len,
	    uint64_t (*read)(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size),
	    void (*write)(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val), void *arg);

#endif /* _HYVE_DEVICE_H_ */
