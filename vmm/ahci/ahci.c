/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ahci.c - a Serial ATA controller (AHCI 1.3.1) on PCI with up to six ports, at each a disk or a CD drive over an image of block/: the HBA's
 * registers, interrupts and life.
 *
 * BAR 5 has the registers.  Those that begin or end a reset wait for requests that the images have, as these cannot be taken back from the
 * host; h->changing keeps two such writes apart.  Commands are taken on the thread of the vCPU that wrote PxCI, or of the image's
 * that made a port idle.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../error.h"
#include "../hash.h"
#include "ahci.h"

#define	BAR_REGS	5
#define	PORT_REGS	0x100U		/* AHCI 3: the first port's; each has 0x80 bytes */
#define	PORT_LEN	0x80U
#define	REGS_LEN	0x1000U

/* As ICH8, which is what bhyve's is too: every system's driver knows it, and others the class. */
#define	VENDOR		0x8086U
#define	DEVICE		0x2821U

/* Registers (AHCI 3.1) */
enum { R_CAP = 0x00, R_GHC = 0x04, R_IS = 0x08, R_PI = 0x0c, R_VS = 0x10, R_CAP2 = 0x24 };

#define	VERSION		0x00010301U
#define	CAP_S64A	0x80000000U
#define	CAP_SNCQ	0x40000000U
#define	CAP_SCLO	0x01000000U
#define	CAP_GEN3	0x00300000U
#define	CAP_SAM		0x00040000U	/* no IDE interface */
#define	CAP_PMD		0x00008000U
#define	CAP_NCS		((AHCI_SLOTS - 1) << 8)
#define	GHC_AE		0x80000000U
#define	GHC_IE		0x2U
#define	GHC_HR		0x1U

/* In the order of their names, which are those of a port's keys. */
static const char *const caches[] = { "writeback", "writethrough", NULL };
static const char *const types[] = { "hd", "cd", NULL };

#define	PORT_KEYS(n)											\
	KEY_ENUM("port." n ".type", "hd", types, "hard disk or CD drive; an hd port without a path is empty, a CD drive has no medium"), \
	BLOCK_KEYS_AT("port." n ".", NULL),								\
	DEVICE_BOOT_KEY_AT("port." n "."),								\
	KEY_ENUM("port." n ".cache", "writeback", caches, "writethrough makes every write durable before it completes, until the driver asks for a cache"), \
	KEY_SIZE("port." n ".sectorsize", 512, 512, 4096, "logical sector size of a disk in bytes: 512 or 4096"), \
	KEY_BOOL("port." n ".discard", true, "TRIM passes discarded ranges on to the image, unless it is read-only"), \
	KEY_INT("port." n ".nmrr", 1, 0, 0xfffe, "nominal media rotation rate of a disk: 1 without rotation, 0 not told"), \
	KEY_STRING("port." n ".ser", NULL, "serial number, at most 20 bytes; else one made from the path"), \
	KEY_STRING("port." n ".rev", ATA_FIRMWARE, "firmware revision, at most 8 bytes"),		\
	KEY_STRING("port." n ".model", NULL, "model number, at most 40 bytes")

static const struct config_key keys[] = {
	PORT_KEYS("0"), PORT_KEYS("1"), PORT_KEYS("2"), PORT_KEYS("3"), PORT_KEYS("4"), PORT_KEYS("5"),
};

#define	EACH_PORT(h, p) for (struct ahci_port *p = (h)->port; p < (h)->port + AHCI_PORTS; p++)

/* Interrupts (AHCI 10.7): the pin is up while a bit of IS is; a message is sent for each that becomes set. */
void
ahci_update(struct ahci *h, uint32_t was)
{
	EACH_PORT(h, p) {
		if ((ahci_port_is(p) & p->ie) != 0)
			h->is |= 1U << p->n;
	}
	if (!h->active)
		return;
	pci_intx(&h->fn, h->ie && h->is != 0);
	if (h->ie && (h->is & ~was) != 0)
		pci_msi_raise(&h->fn);
}

/* Registers.  Lock held. */

static uint32_t
capabilities(const struct ahci *h)
{
	unsigned last = 31U - (unsigned)__builtin_clz(h->ports | 1);

	return (CAP_S64A | CAP_SNCQ | CAP_SCLO | CAP_GEN3 | CAP_SAM | CAP_PMD | CAP_NCS | last);
}

/* AHCI 10.4.3: all but the addresses of lists and FISes. */
static void
hba_reset(struct ahci *h)
{
	EACH_PORT(h, p)
		ahci_port_stop(p);
	EACH_PORT(h, p)
		ahci_port_reset(p, false);
	h->ie = false;
	h->is = 0;
	ahci_update(h, 0);
}

static void
set_ghc(struct ahci *h, uint32_t val)
{
	bool was = h->ie;

	if ((val & GHC_HR) != 0) {
		hba_reset(h);
		return;
	}
	h->ie = (val & GHC_IE) != 0;
	ahci_update(h, was ? h->is : 0);
}

static uint32_t
read_reg(const struct ahci *h, uint32_t off)
{
	switch (off) {
	case R_CAP:
		return (capabilities(h));
	case R_GHC:
		return (GHC_AE | (h->ie ? GHC_IE : 0));
	case R_IS:
		return (h->is);
	case R_PI:
		return (h->ports);
	case R_VS:
		return (VERSION);
	default:
		break;
	}
	if (off < PORT_REGS || off >= PORT_REGS + AHCI_PORTS * PORT_LEN || (h->ports >> (off - PORT_REGS) / PORT_LEN & 1) == 0)
		return (0);
	return (ahci_port_read(&h->port[(off - PORT_REGS) / PORT_LEN], off % PORT_LEN));
}

static void
write_reg(struct ahci *h, uint32_t off, uint32_t val)
{
	if (off == R_GHC) {
		set_ghc(h, val);
	} else if (off == R_IS) {
		h->is &= ~val;
		/* What is left has a message of its own, or an edge would be missing. */
		ahci_update(h, 0);
	} else if (off >= PORT_REGS && off < PORT_REGS + AHCI_PORTS * PORT_LEN && (h->ports >> (off - PORT_REGS) / PORT_LEN & 1) != 0) {
		ahci_port_write(&h->port[(off - PORT_REGS) / PORT_LEN], off % PORT_LEN, val);
	}
}

/* Reading has no effect, so any width will do. */
static uint64_t
regs_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct ahci *h = arg;
	uint32_t at = (uint32_t)off & ~3U, regs[3];
	uint64_t val = 0;

	pthread_mutex_lock(&h->lock);
	for (unsigned i = 0; i < 3; i++)
		regs[i] = read_reg(h, at + 4 * i);
	pthread_mutex_unlock(&h->lock);
	memcpy(&val, (const uint8_t *)regs + off % 4, size);
	return (val);
}

/* AHCI 3: registers are written in their width, those of 64 bits also as one. */
static void
regs_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct ahci *h = arg;

	if (off % 4 != 0 || (size != 4 && (size != 8 || off % 8 != 0))) {
		device_guest_log(h->dev, "write of %u bytes to register %#" PRIx64, size, off);
		return;
	}
	pthread_mutex_lock(&h->lock);
	while (h->changing)
		pthread_cond_wait(&h->idle, &h->lock);
	h->changing = true;
	write_reg(h, (uint32_t)off, (uint32_t)val);
	if (size == 8)
		write_reg(h, (uint32_t)off + 4, (uint32_t)(val >> 32));
	h->changing = false;
	pthread_cond_broadcast(&h->idle);
	pthread_mutex_unlock(&h->lock);
}

static const struct pci_bar_ops regs_ops = { regs_read, regs_write };

/*
 * Without the bus nothing is begun, and what was begun completes before it is gone, or the driver would wait for it for ever.  A message that
 * could not be sent meanwhile is sent when it is there again.
 */
static void
set_master(struct ahci *h, bool master)
{
	bool gained;

	pthread_mutex_lock(&h->lock);
	gained = master && !h->master;
	h->master = master;
	EACH_PORT(h, p) {
		if (master)
			ahci_port_run(p);
		else
			ahci_port_wait(p);
	}
	if (gained)
		ahci_update(h, 0);
	pthread_mutex_unlock(&h->lock);
}

static void
command(struct pci_fn *fn, uint16_t cmd)
{
	set_master(fn->dev->soft, (cmd & PCI_CMD_MASTER) != 0);
}

static const struct pci_ops pci_ops = { .command = command };

/* Life */

/* The value of a port's key. */
static const char *
port_key(char buf[32], const struct ahci_port *p, const char *name)
{
	(void)snprintf(buf, 32, "port.%u.%s", p->n, name);
	return (buf);
}

static const char *
port_str(const struct ahci_port *p, const char *name)
{
	char key[32];

	return (config_str(p->h->dev->config, port_key(key, p, name)));
}

static int64_t
port_num(const struct ahci_port *p, const char *name)
{
	char key[32];

	return (config_num(p->h->dev->config, port_key(key, p, name)));
}

/* A string of a device, filled up with blanks (ACS 7.12.7.9). */
static int
set_string(struct ahci_port *p, const char *key, const char *text, char *to, size_t len)
{
	if (strlen(text) > len)
		return (vmm_fail(EINVAL, "%s: port.%u.%s has %zu bytes, and may have %zu", p->h->dev->name, p->n, key, strlen(text), len));
	memset(to, ' ', len);
	memcpy(to, text, strlen(text));
	return (0);
}

/* Who the device is, in every run the same: by the keys, or made from the path and the place. */
static int
set_names(struct ahci_port *p, const char *path)
{
	const char *serial = port_str(p, "ser"), *model = port_str(p, "model");
	uint64_t hash = HASH_START + ((unsigned)p->h->dev->place.bus << 8 | p->h->dev->place.devfn) * AHCI_PORTS + p->n;
	char made[24];

	if (path != NULL)
		hash = hash_bytes(hash, path, strlen(path));
	(void)snprintf(made, sizeof(made), "HYVE-%014llX", (unsigned long long)hash >> 8);
	if (set_string(p, "ser", serial != NULL ? serial : made, p->serial, sizeof(p->serial)) != 0 ||
	    set_string(p, "rev", port_str(p, "rev"), p->revision, sizeof(p->revision)) != 0)
		return (-1);
	return (set_string(p, "model", model != NULL ? model : p->cd ? "hyve SATA DVD" : "hyve SATA disk", p->model, sizeof(p->model)));
}

/* A medium of a CD drive is not written. */
static struct block *
open_block(struct ahci_port *p)
{
	char name[CONFIG_NAME_MAX + 1], port[CONFIG_NAME_MAX + 16];
	struct config_node *node;

	(void)snprintf(port, sizeof(port), "%s.port.%u", config_node_name(p->h->dev->config, name), p->n);
	node = config_node(p->h->dev->vmm->config, port);
	return (node != NULL ? block_open_keys(p->h->dev, node, p->cd) : NULL);
}

static int
open_image(struct ahci_port *p, const char *path)
{
	const char *name = p->h->dev->name;
	int64_t sector = p->cd ? AHCI_CD_SECTOR : port_num(p, "sectorsize");

	if (!p->cd && sector != 512 && sector != 4096)
		return (vmm_fail(EINVAL, "%s: port.%u.sectorsize is 512 or 4096, not %lld", name, p->n, (long long)sector));
	p->image = open_block(p);
	if (p->image == NULL)
		return (-1);
	p->lbashift = (uint8_t)__builtin_ctz((unsigned)sector);
	p->discard = !block_readonly(p->image) && port_num(p, "discard") != 0;
	if (!p->cd && block_size(p->image) % (uint64_t)sector != 0)
		return (vmm_fail(EINVAL, "%s: '%s' is not a whole number of sectors of %lld bytes", name, path, (long long)sector));
	if (block_size(p->image) >> p->lbashift == 0)
		return (vmm_fail(EINVAL, "%s: '%s' has not one sector of %lld bytes", name, path, (long long)sector));
	return (0);
}

/* The i-th of the ports that something is attached to. */
static bool
ahci_disk(struct device *dev, unsigned i, struct device_disk *disk)
{
	struct ahci *h = dev->soft;

	EACH_PORT(h, p) {
		if (!p->present || i-- != 0)
			continue;
		(void)snprintf(disk->keys, sizeof(disk->keys), ".port.%u", p->n);
		disk->removable = p->cd;
		disk->image = p->image;
		return (true);
	}
	return (false);
}

static int
open_port(struct ahci_port *p)
{
	const char *path = port_str(p, "path");

	p->cd = port_num(p, "type") == 1;
	if (path == NULL && !p->cd)
		return (0);
	p->present = true;
	p->h->ports |= 1U << p->n;
	p->writethrough = port_num(p, "cache") == 1;
	p->rotation = (uint16_t)port_num(p, "nmrr");
	if (set_names(p, path) != 0)
		return (-1);
	return (path != NULL ? open_image(p, path) : 0);
}

static void
close_images(struct ahci *h)
{
	EACH_PORT(h, p)
		block_close(p->image);
	ahci_cmds_free(h);
	pthread_cond_destroy(&h->idle);
	pthread_mutex_destroy(&h->lock);
}

/* After the device was paused: nothing is in flight, and nothing begins; the images' last threads may still be on their way out of done(). */
static void
ahci_fini(struct device *dev)
{
	struct ahci *h = dev->soft;

	pci_fini(&h->fn);
	close_images(h);
}

static int
open_ports(struct ahci *h)
{
	EACH_PORT(h, p) {
		p->h = h;
		p->n = (unsigned)(p - h->port);
		if (open_port(p) != 0)
			return (-1);
	}
	if (h->ports == 0)
		return (vmm_fail(EINVAL, "%s: it has no disk and no CD drive; set port.0.path, or port.0.type=cd", h->dev->name));
	return (0);
}

static int
ahci_init(struct device *dev)
{
	const struct pci_ident ident = {
		.vendor = VENDOR, .device = DEVICE, .subvendor = VENDOR, .subdevice = DEVICE,
		.class_code = 0x010601,		/* AHCI 2.1.5: mass storage, SATA, AHCI 1.0 */
		.intx = dev->place.irq[0] != NULL,
		.power = true,			/* 2.3 */
		.flr = PCI_FLR_CONVENTIONAL,	/* as the ICH9 has it */
	};
	struct ahci *h = dev->soft;
	int error;

	h->dev = dev;
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->idle, NULL);
	if (open_ports(h) != 0 || pci_init(&h->fn, dev, &ident, &pci_ops) != 0) {
		error = errno;
		close_images(h);
		errno = error;
		return (-1);
	}
	if (pci_add_msi(&h->fn) != 0 || pci_add_bar(&h->fn, BAR_REGS, PCI_BAR_MEM32, REGS_LEN, &regs_ops, h) != 0) {
		error = errno;
		ahci_fini(dev);
		errno = error;
		return (-1);
	}
	return (0);
}

static void
ahci_reset(struct device *dev)
{
	struct ahci *h = dev->soft;

	pci_reset(&h->fn);
	pthread_mutex_lock(&h->lock);
	h->master = false;
	EACH_PORT(h, p) {
		ahci_port_reset(p, true);
		p->reads = p->writes = p->errors = 0;
	}
	h->ie = false;
	h->is = 0;
	pthread_mutex_unlock(&h->lock);
}

static void
ahci_pause(struct device *dev)
{
	struct ahci *h = dev->soft;

	pthread_mutex_lock(&h->lock);
	h->active = false;
	EACH_PORT(h, p)
		ahci_port_wait(p);
	pthread_mutex_unlock(&h->lock);
	pci_pause(&h->fn);
}

static void
ahci_settle(struct device *dev)
{
	struct ahci *h = dev->soft;

	EACH_PORT(h, p)
		(void)block_settle(p->image);
}

/* A snapshot without all of the disks is none. */
static int
ahci_saving(struct device *dev)
{
	struct ahci *h = dev->soft;

	EACH_PORT(h, p)
		if (block_settle(p->image) != 0)
			return (-1);
	return (0);
}

/* Commands that came meanwhile, or that the pause left in their slots, are taken now. */
static void
ahci_resume(struct device *dev)
{
	struct ahci *h = dev->soft;

	pci_resume(&h->fn);
	pthread_mutex_lock(&h->lock);
	h->active = true;
	pthread_mutex_unlock(&h->lock);
	set_master(h, pci_master(&h->fn));
	pthread_mutex_lock(&h->lock);
	ahci_update(h, 0);		/* of what ended while it was paused nobody was told */
	pthread_mutex_unlock(&h->lock);
}

/* State */

/* What no port can be in. */
static int
check_port(void *obj)
{
	const struct ahci_port *p = obj;

	if (p->multiple > ATA_MULTIPLE_MAX || p->power > ATA_SLEEP || p->turn >= AHCI_SLOTS || p->failed.tag >= AHCI_SLOTS)
		return (vm_state_complain("a port with %u sectors at once, power %u, slot %u", p->multiple, p->power, p->turn));
	if ((p->cmd & PCMD_ST) == 0 && (p->ci | p->sact) != 0)
		return (vm_state_complain("a port that stands still with commands %#x and %#x", p->ci, p->sact));
	if ((p->clb & 0x3ff) != 0 || (p->fb & 0xff) != 0)
		return (vm_state_complain("a port with lists at %#llx and %#llx", (unsigned long long)p->clb, (unsigned long long)p->fb));
	return (0);
}

static const struct vm_state_field failed_fields[] = {
	VM_STATE_BOOL(struct ata_queued_error, valid), VM_STATE_U8(struct ata_queued_error, tag), VM_STATE_U8(struct ata_queued_error, status),
	VM_STATE_U8(struct ata_queued_error, error), VM_STATE_U8(struct ata_queued_error, device),
	VM_STATE_U16(struct ata_queued_error, count), VM_STATE_U64(struct ata_queued_error, lba),
};
static const struct vm_state_table failed_table = VM_STATE_TABLE("ahci.failed", 1, 1, failed_fields, NULL);

static const struct vm_state_field sense_fields[] = {
	VM_STATE_U8(struct atapi_sense, key), VM_STATE_U8(struct atapi_sense, code), VM_STATE_U8(struct atapi_sense, qualifier),
};
static const struct vm_state_table sense_table = VM_STATE_TABLE("ahci.sense", 1, 1, sense_fields, NULL);

static const struct vm_state_field port_fields[] = {
	VM_STATE_U64(struct ahci_port, clb), VM_STATE_U64(struct ahci_port, fb), VM_STATE_U32(struct ahci_port, is),
	VM_STATE_U32(struct ahci_port, ie), VM_STATE_U32(struct ahci_port, cmd), VM_STATE_U32(struct ahci_port, tfd),
	VM_STATE_U32(struct ahci_port, sig), VM_STATE_U32(struct ahci_port, ssts), VM_STATE_U32(struct ahci_port, sctl),
	VM_STATE_U32(struct ahci_port, serr), VM_STATE_U32(struct ahci_port, sact), VM_STATE_U32(struct ahci_port, ci),
	VM_STATE_U32(struct ahci_port, turn), VM_STATE_BOOL(struct ahci_port, halted), VM_STATE_BOOL(struct ahci_port, unposted),
	VM_STATE_BOOL(struct ahci_port, soft_reset), VM_STATE_BOOL(struct ahci_port, wcache), VM_STATE_BOOL(struct ahci_port, lookahead),
	VM_STATE_BOOL(struct ahci_port, smart), VM_STATE_U8(struct ahci_port, multiple), VM_STATE_U8(struct ahci_port, mode),
	VM_STATE_U8(struct ahci_port, power), VM_STATE_STRUCT(struct ahci_port, failed, &failed_table),
	VM_STATE_U64(struct ahci_port, reads), VM_STATE_U64(struct ahci_port, writes), VM_STATE_U64(struct ahci_port, errors),
	VM_STATE_STRUCT(struct ahci_port, sense, &sense_table), VM_STATE_U8(struct ahci_port, attention),
	VM_STATE_U8(struct ahci_port, event), VM_STATE_BOOL(struct ahci_port, open), VM_STATE_BOOL(struct ahci_port, locked),
};
static const struct vm_state_table port_table = VM_STATE_TABLE("ahci.port", 1, 1, port_fields, check_port);

static const struct vm_state_field fields[] = {
	PCI_STATE(struct ahci), VM_STATE_BOOL(struct ahci, ie), VM_STATE_U32(struct ahci, is),
	VM_STATE_STRUCTS(struct ahci, port, &port_table),
};

static int
check(void *obj)
{
	struct ahci *h = obj;

	EACH_PORT(h, p) {
		if (!p->present && p->ssts != 0)
			return (vm_state_complain("a device at port %u, which has none here", p->n));
	}
	return (0);
}

static const struct vm_state_table state = VM_STATE_TABLE("ahci", 1, 1, fields, check);

DEVICE_CLASS(ahci, "ahci", "Serial ATA controller (AHCI 1.3.1) with disks and CD drives", keys, &state,
    .on = DEVICE_ON_PCI,
    /* edk2 knows SATA disks by the name that another AHCI controller has; SeaBIOS takes any. */
    .boot = "pci8086,2922/drive@#/disk@0",
    .boot_key = "port.#.bootindex",
    .boot_units = AHCI_PORTS,
    .size = sizeof(struct ahci),
    .init = ahci_init,
    .disk = ahci_disk,
    .fini = ahci_fini,
    .reset = ahci_reset,
    .pause = ahci_pause,
    .saving = ahci_saving,
    .settle = ahci_settle,
    .resume = ahci_resume);
