/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fw_cfg.c - firmware configuration device (QEMU's docs/specs/fw_cfg).
 *
 * Three registers: a selector that picks an item and goes to its start, a data register that hands out the item's bytes one after
 * the other, and the address of a descriptor in RAM by which the device copies whole items itself.  Behind the end of
 * an item, and in an item that does not exist, everything is zero.
 *
 *		memory		ports
 *	data	0, 1 to 8 bytes	1, 1 byte
 *	select	8, big-endian	0, little-endian
 *	DMA	0x10, 8 bytes	4 and 8, 4 bytes each; big-endian everywhere
 *
 * f->lock guards the state.  Items do not change once the guest runs, but for the contents of writable ones.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../device.h"
#include "../error.h"
#include "fw_cfg.h"

#define	KEY_SIGNATURE	0x00
#define	KEY_ID		0x01
#define	KEY_DIRECTORY	0x19
#define	KEY_FILES	0x20
#define	KEY_LAST	0x3fff
#define	KEY_WRITE	0x4000		/* asked for with the key in former times; has no meaning any more */

#define	ID_TRADITIONAL	0x01U
#define	ID_DMA		0x02U

#define	DMA_ERROR	0x01U
#define	DMA_READ	0x02U
#define	DMA_SKIP	0x04U
#define	DMA_SELECT	0x08U
#define	DMA_WRITE	0x10U
#define	DMA_PIECE	0x10000U	/* bytes of a write section */
#define	DMA_SIGNATURE	0x51454d5520434647ULL	/* what the address register reads as: "QEMU CFG" */

#define	MMIO_LEN	0x18
#define	PORT_LEN	12

struct item {
	uint16_t	 key;
	bool		 owned;
	const uint8_t	*data;
	size_t		 len;
	int		 writable;	/* -1, or where in written[] its present contents are */
	char		 name[FW_CFG_NAME_MAX + 1];	/* of files */
};

struct fwcfg {
	struct device	*dev;
	struct vm_range	*range;
	pthread_mutex_t	 lock;
	struct item	*item;
	unsigned	 nitems, nfiles;
	uint32_t	 nwritable;	/* bytes of written[] in use */

	/* state */
	uint16_t	 key;
	uint32_t	 offset;
	uint64_t	 dma;		/* high half of an address whose low half has not come yet */
	uint8_t		 written[FW_CFG_WRITABLE_MAX];
};

/* What the directory has for each file. */
struct entry {
	uint32_t	 size;
	uint16_t	 key, reserved;
	char		 name[FW_CFG_NAME_MAX + 1];
};
_Static_assert(sizeof(struct entry) == 64, "file entry");

static struct item *
find(const struct fwcfg *f, uint16_t key)
{
	for (unsigned i = 0; i < f->nitems; i++) {
		if (f->item[i].key == key)
			return (&f->item[i]);
	}
	return (NULL);
}

static struct item *
find_name(const struct fwcfg *f, const char *name)
{
	for (unsigned i = 0; i < f->nitems; i++) {
		if (f->item[i].key >= KEY_FILES && strcmp(f->item[i].name, name) == 0)
			return (&f->item[i]);
	}
	return (NULL);
}

static const uint8_t *
contents(const struct fwcfg *f, const struct item *item)
{
	return (item->writable >= 0 ? f->written + item->writable : item->data);
}

/* Items */

static int
add(struct fwcfg *f, uint16_t key, const char *name, const void *data, size_t len, bool copy)
{
	struct item *more, *item;
	void *own = NULL;

	if (len > UINT32_MAX)
		return (vmm_fail(EINVAL, "%s: an item of %zu bytes; 4 GiB - 1 is the most", f->dev->name, len));
	if (copy) {
		own = malloc(len != 0 ? len : 1);
		if (own == NULL)
			return (vmm_fail(ENOMEM, "%s: no memory", f->dev->name));
		if (len != 0)
			memcpy(own, data, len);
		data = own;
	}
	more = realloc(f->item, (f->nitems + 1) * sizeof(*more));
	if (more == NULL) {
		free(own);
		return (vmm_fail(ENOMEM, "%s: no memory", f->dev->name));
	}
	f->item = more;
	item = &more[f->nitems++];
	*item = (struct item){ .key = key, .owned = copy, .data = data, .len = len, .writable = -1 };
	if (name != NULL)
		memcpy(item->name, name, strlen(name));
	return (0);
}

static int
add_key(struct device *dev, uint16_t key, const void *data, size_t len, bool copy)
{
	struct fwcfg *f = dev->soft;

	if ((key & ~FW_CFG_ARCH_LOCAL) > KEY_LAST || (key >= KEY_DIRECTORY && key < FW_CFG_ARCH_LOCAL))
		return (vmm_fail(EINVAL, "%s: %#x is no number of an item", dev->name, key));
	if (find(f, key) != NULL)
		return (vmm_fail(EEXIST, "%s: there is an item %#x", dev->name, key));
	return (add(f, key, NULL, data, len, copy));
}

int
fw_cfg_add_key(struct device *dev, uint16_t key, const void *data, size_t len)
{
	return (add_key(dev, key, data, len, true));
}

int
fw_cfg_lend_key(struct device *dev, uint16_t key, const void *data, size_t len)
{
	return (add_key(dev, key, data, len, false));
}

int
fw_cfg_add_number(struct device *dev, uint16_t key, uint64_t value, unsigned size)
{
	uint64_t le = htole64(value);

	return (add_key(dev, key, &le, size, true));
}

/* The directory is an item like others, written anew for each file. */
static int
make_directory(struct fwcfg *f)
{
	size_t len = 4 + f->nfiles * sizeof(struct entry);
	struct item *dir = find(f, KEY_DIRECTORY);
	uint8_t *data = calloc(1, len);
	uint32_t count = htobe32(f->nfiles);
	uint8_t *at = data + 4;

	if (data == NULL)
		return (vmm_fail(ENOMEM, "%s: no memory", f->dev->name));
	memcpy(data, &count, 4);
	for (unsigned i = 0; i < f->nitems; i++) {
		const struct item *item = &f->item[i];
		struct entry e = { .size = htobe32((uint32_t)item->len), .key = htobe16(item->key) };

		if (item->key < KEY_FILES || item->key > KEY_LAST)
			continue;
		memcpy(e.name, item->name, sizeof(e.name));
		memcpy(at, &e, sizeof(e));
		at += sizeof(e);
	}
	free((void *)(uintptr_t)dir->data);
	dir->data = data;
	dir->len = len;
	return (0);
}

static int
add_file(struct fwcfg *f, const char *name, const void *data, size_t len)
{
	if (name[0] == '\0' || strlen(name) > FW_CFG_NAME_MAX)
		return (vmm_fail(EINVAL, "%s: the name of file '%.80s' has not 1 to %d bytes", f->dev->name, name, FW_CFG_NAME_MAX));
	if (find_name(f, name) != NULL)
		return (vmm_fail(EEXIST, "%s: there is a file '%s'", f->dev->name, name));
	if (f->nfiles == FW_CFG_FILES_MAX)
		return (vmm_fail(ENOSPC, "%s: there are %d files, and no room for '%s'", f->dev->name, FW_CFG_FILES_MAX, name));
	if (add(f, (uint16_t)(KEY_FILES + f->nfiles), name, data, len, true) != 0)
		return (-1);
	f->nfiles++;
	return (make_directory(f));
}

int
fw_cfg_add_file(struct device *dev, const char *name, const void *data, size_t len)
{
	return (add_file(dev->soft, name, data, len));
}

int
fw_cfg_add_writable(struct device *dev, const char *name, const void *data, size_t len)
{
	struct fwcfg *f = dev->soft;
	struct item *item;

	if (len > FW_CFG_WRITABLE_MAX - f->nwritable)
		return (vmm_fail(ENOSPC, "%s: no room for %zu writable bytes of '%s'", dev->name, len, name));
	if (add_file(f, name, data, len) != 0)
		return (-1);
	item = find_name(f, name);
	item->writable = (int)f->nwritable;
	memcpy(f->written + f->nwritable, item->data, len);
	f->nwritable += (uint32_t)len;
	return (0);
}

const void *
fw_cfg_file(struct device *dev, const char *name, size_t *len)
{
	const struct item *item = find_name(dev->soft, name);

	if (item == NULL)
		return (NULL);
	*len = item->len;
	return (contents(dev->soft, item));
}

/* Registers; f->lock is held. */

static void
choose(struct fwcfg *f, uint16_t key)
{
	f->key = (uint16_t)(key & ~KEY_WRITE);
	f->offset = 0;
}

/* Bytes that are left of the chosen item, and where they are. */
static uint32_t
rest(const struct fwcfg *f, const struct item **item, const uint8_t **at)
{
	*item = find(f, f->key);
	if (*item == NULL || f->offset >= (*item)->len)
		return (0);
	*at = contents(f, *item) + f->offset;
	return ((uint32_t)(*item)->len - f->offset);
}

static void
advance(struct fwcfg *f, uint32_t n)
{
	f->offset = n > UINT32_MAX - f->offset ? UINT32_MAX : f->offset + n;
}

/* The lowest address gets the first byte, so that a wide read is a string's piece in memory. */
static uint64_t
read_data(struct fwcfg *f, unsigned size)
{
	const struct item *item;
	const uint8_t *at;
	uint32_t left = rest(f, &item, &at);
	uint64_t val = 0;

	for (unsigned i = 0; i < size && i < left; i++)
		val |= (uint64_t)at[i] << (8 * i);
	advance(f, size);
	return (val);
}

/* Copy the next len bytes of the item to RAM, in pieces; whether all of it was RAM. */
static bool
dma_read(struct fwcfg *f, uint64_t addr, uint32_t len)
{
	struct vm_wsec ws;

	while (len > 0) {
		const struct item *item;
		const uint8_t *from = NULL;
		uint32_t n = len < DMA_PIECE ? len : DMA_PIECE, left = rest(f, &item, &from);
		uint8_t *to = vm_write_begin(f->dev->vmm->vm, addr, n, &ws);

		if (to == NULL)
			return (false);
		if (left > n)
			left = n;
		if (left != 0)
			memcpy(to, from, left);
		memset(to + left, 0, n - left);
		vm_write_commit(&ws);
		advance(f, n);
		addr += n;
		len -= n;
	}
	return (true);
}

/* The other way, into a writable item that has room for all of it. */
static bool
dma_write(struct fwcfg *f, uint64_t addr, uint32_t len)
{
	const struct item *item;
	const uint8_t *at;

	if (len == 0)
		return (true);
	if (len > rest(f, &item, &at) || item->writable < 0)
		return (false);
	if (vm_gpa_read(f->dev->vmm->vm, addr, f->written + (at - f->written), len) != 0)
		return (false);
	advance(f, len);
	return (true);
}

/* The descriptor: control with a key in its high half, length, address; all big-endian. */
static void
dma(struct fwcfg *f, uint64_t gpa)
{
	struct { uint32_t control, length; uint64_t addr; } d;
	struct vmctx *vm = f->dev->vmm->vm;
	uint32_t control, length;
	uint64_t addr;
	bool good = true;

	if (vm_gpa_read(vm, gpa, &d, sizeof(d)) != 0) {
		device_guest_log(f->dev, "a descriptor at %#" PRIx64 ", where no RAM is", gpa);
		return;
	}
	control = be32toh(d.control);
	length = be32toh(d.length);
	addr = be64toh(d.addr);
	if ((control & DMA_SELECT) != 0)
		choose(f, (uint16_t)(control >> 16));
	/* Of several bits the first of these counts. */
	if ((control & DMA_READ) != 0)
		good = dma_read(f, addr, length);
	else if ((control & DMA_WRITE) != 0)
		good = dma_write(f, addr, length);
	else if ((control & DMA_SKIP) != 0)
		advance(f, length);
	if (!good)
		device_guest_log(f->dev, "%s of %u bytes of item %#x at %#" PRIx64 " cannot be done",
		    (control & DMA_READ) != 0 ? "a read" : "a write", length, f->key, addr);
	d.control = htobe32(good ? 0 : DMA_ERROR);
	(void)vm_gpa_write(vm, gpa, &d.control, sizeof(d.control));
}

/* off is inside of the 64-bit register. */
static uint64_t
dma_signature(uint64_t off, unsigned size)
{
	uint64_t val = htobe64(DMA_SIGNATURE) >> (8 * off);

	return (size == 8 ? val : val & ((1ULL << (8 * size)) - 1));
}

/* Writing the low half starts. */
static void
dma_register(struct fwcfg *f, uint64_t off, unsigned size, uint64_t val)
{
	uint64_t gpa;

	if (off == 0 && size == 8) {
		f->dma = 0;
		dma(f, be64toh(val));
	} else if (off == 0 && size == 4) {
		f->dma = (uint64_t)be32toh((uint32_t)val) << 32;
	} else if (off == 4 && size == 4) {
		gpa = f->dma | be32toh((uint32_t)val);
		f->dma = 0;
		dma(f, gpa);
	}
}

/* vCPU's thread. */
static uint64_t
mmio_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct fwcfg *f = arg;
	uint64_t val = 0;

	if (off < 8) {
		pthread_mutex_lock(&f->lock);
		val = read_data(f, size);
		pthread_mutex_unlock(&f->lock);
	} else if (off >= 0x10)
		val = dma_signature(off - 0x10, size);
	return (val);
}

static void
mmio_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct fwcfg *f = arg;

	pthread_mutex_lock(&f->lock);
	if (off == 8 && size == 2)
		choose(f, be16toh((uint16_t)val));
	else if (off >= 0x10)
		dma_register(f, off - 0x10, size, val);
	pthread_mutex_unlock(&f->lock);
}

static uint64_t
port_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct fwcfg *f = arg;
	uint64_t val = 0;

	if (off == 1 && size == 1) {
		pthread_mutex_lock(&f->lock);
		val = read_data(f, 1);
		pthread_mutex_unlock(&f->lock);
	} else if (off >= 4)
		val = dma_signature(off - 4, size);
	return (val);
}

static void
port_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct fwcfg *f = arg;

	pthread_mutex_lock(&f->lock);
	if (off == 0 && size == 2)
		choose(f, (uint16_t)val);
	else if (off >= 4)
		dma_register(f, off - 4, size, val);
	pthread_mutex_unlock(&f->lock);
}

/* Life */

static void
fwcfg_fini(struct device *dev)
{
	struct fwcfg *f = dev->soft;

	vm_range_remove(f->range);
	(void)vm_range_sync(dev->vmm->vm);
	for (unsigned i = 0; i < f->nitems; i++) {
		if (f->item[i].owned)
			free((void *)(uintptr_t)f->item[i].data);
	}
	free(f->item);
	pthread_mutex_destroy(&f->lock);
}

static int
fwcfg_init(struct device *dev)
{
	struct fwcfg *f = dev->soft;
	bool ports = dev->place.on == DEVICE_ON_IO;

	f->dev = dev;
	pthread_mutex_init(&f->lock, NULL);
	f->range = ports ? device_claim(dev, PORT_LEN, port_read, port_write, f) :
	    device_claim(dev, MMIO_LEN, mmio_read, mmio_write, f);
	if (f->range == NULL || add(f, KEY_SIGNATURE, NULL, "QEMU", 4, true) != 0 ||
	    fw_cfg_add_number(dev, KEY_ID, ID_TRADITIONAL | ID_DMA, 4) != 0 || add(f, KEY_DIRECTORY, NULL, "", 0, true) != 0 ||
	    make_directory(f) != 0) {
		fwcfg_fini(dev);
		return (-1);
	}
	return (0);
}

static void
fwcfg_reset(struct device *dev)
{
	struct fwcfg *f = dev->soft;

	pthread_mutex_lock(&f->lock);
	f->key = KEY_SIGNATURE;
	f->offset = 0;
	f->dma = 0;
	for (unsigned i = 0; i < f->nitems; i++) {
		if (f->item[i].writable >= 0 && f->item[i].len != 0)
			memcpy(f->written + f->item[i].writable, f->item[i].data, f->item[i].len);
	}
	pthread_mutex_unlock(&f->lock);
}

static void
fwcfg_describe(struct device *dev, struct device_description *desc)
{
	desc->compatible = "qemu,fw-cfg-mmio";
	desc->node = "fw-cfg";
	desc->hid = "QEMU0002";
	desc->len = MMIO_LEN;
	desc->dma_coherent = true;
}

static const struct vm_state_field fields[] = {
	VM_STATE_U16(struct fwcfg, key), VM_STATE_U32(struct fwcfg, offset), VM_STATE_U64(struct fwcfg, dma),
	VM_STATE_BYTES(struct fwcfg, written),
};

static const struct vm_state_table state = VM_STATE_TABLE("fw-cfg", 1, 1, fields, NULL);

DEVICE_CLASS_NOKEYS(fw_cfg, "fw-cfg", "what firmware is told about its machine", &state,
    .on = DEVICE_ON_MMIO | DEVICE_ON_IO,
    .size = sizeof(struct fwcfg),
    .init = fwcfg_init,
    .fini = fwcfg_fini,
    .reset = fwcfg_reset,
    .describe = fwcfg_describe);
