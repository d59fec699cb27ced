/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nvme_identify.c - what the controller and its one namespace say of themselves: Identify (NVMe 1.4 section 5.15) and log pages (5.14).
 */
#include <string.h>

#include "nvme.h"

#define	PAGE		4096U

#define	OACS_NONE	0U
#define	LPA_EFFECTS	0x02U
#define	LPA_EXTENDED	0x04U		/* parts of logs */
#define	ONCS_COMPARE	0x01U
#define	ONCS_DSM	0x04U
#define	ONCS_ZEROES	0x08U
#define	ONCS_SELECT	0x10U		/* Save and Select of features */
#define	VWC_FLUSH_ALL	0x07U		/* there is a cache; Flush takes NSID FFFFFFFFh */
#define	NSATTR_PROTECTED 0x01U

/* 5.15.2.2, what is not 0 of it */
struct controller {
	uint16_t	vid, ssvid;
	char		sn[20], mn[40], fr[8];
	uint8_t		rab, ieee[3], cmic, mdts;
	uint16_t	cntlid;
	uint32_t	ver, rtd3r, rtd3e, oaes, ctratt;
	uint8_t		unused0[11], cntrltype;
	uint8_t		unused1[144];
	uint16_t	oacs;
	uint8_t		acl, aerl, frmw, lpa, elpe, npss, avscc, apsta;
	uint16_t	wctemp, cctemp;
	uint8_t		unused2[242];
	uint8_t		sqes, cqes;
	uint16_t	maxcmd;
	uint32_t	nn;
	uint16_t	oncs, fuses;
	uint8_t		fna, vwc;
	uint8_t		unused3[242];
	char		subnqn[256];
	uint8_t		unused4[1024];
	struct { uint16_t mp; uint8_t unused[30]; } psd[32];
	uint8_t		vendor[1024];
} __attribute__((packed));

/* 5.15.2.1 */
struct namespace {
	uint64_t	nsze, ncap, nuse;
	uint8_t		nsfeat, nlbaf, flbas, mc, dpc, dps, nmic, rescap, fpi, dlfeat;
	uint8_t		unused0[30];
	uint16_t	npwg, npwa, npdg, npda, nows;
	uint8_t		unused1[25], nsattr;
	uint8_t		unused2[4], nguid[16], eui64[8];
	uint32_t	lbaf[16];
	uint8_t		unused3[3904];
} __attribute__((packed));

_Static_assert(offsetof(struct controller, cntrltype) == 111, "5.15.2.2");
_Static_assert(offsetof(struct controller, oacs) == 256, "5.15.2.2");
_Static_assert(offsetof(struct controller, sqes) == 512, "5.15.2.2");
_Static_assert(offsetof(struct controller, subnqn) == 768, "5.15.2.2");
_Static_assert(offsetof(struct controller, psd) == 2048, "5.15.2.2");
_Static_assert(sizeof(struct controller) == PAGE, "5.15.2.2");
_Static_assert(offsetof(struct namespace, npwg) == 64, "5.15.2.1");
_Static_assert(offsetof(struct namespace, nsattr) == 99, "5.15.2.1");
_Static_assert(offsetof(struct namespace, nguid) == 104, "5.15.2.1");
_Static_assert(offsetof(struct namespace, lbaf) == 128, "5.15.2.1");
_Static_assert(sizeof(struct namespace) == PAGE, "5.15.2.1");

static void
set_text(char *to, size_t len, const char *text)
{
	size_t have = strnlen(text, len);

	memset(to, ' ', len);
	memcpy(to, text, have);
}

static void
identify_controller(const struct nvme *n, struct controller *c)
{
	c->vid = c->ssvid = NVME_VENDOR;
	set_text(c->sn, sizeof(c->sn), n->serial);
	set_text(c->mn, sizeof(c->mn), "hyve NVMe disk");
	memcpy(c->fr, NVME_FIRMWARE, sizeof(c->fr));
	c->mdts = NVME_MDTS;
	c->ver = 0x00010400;
	c->cntrltype = 1;		/* of I/O */
	c->oacs = OACS_NONE;
	c->acl = 3;
	c->aerl = NVME_AERS_MAX - 1;
	c->frmw = 0x03;			/* one slot, read-only */
	c->lpa = LPA_EFFECTS | LPA_EXTENDED;
	c->elpe = NVME_ERRORS_MAX - 1;
	c->wctemp = 343;
	c->cctemp = 353;
	c->sqes = NVME_SQES << 4 | NVME_SQES;
	c->cqes = NVME_CQES << 4 | NVME_CQES;
	c->nn = 1;
	c->oncs = (uint16_t)(ONCS_COMPARE | ONCS_ZEROES | ONCS_SELECT | (nvme_has_discard(n) ? ONCS_DSM : 0));
	c->vwc = VWC_FLUSH_ALL;
	memcpy(c->subnqn, n->nqn, sizeof(n->nqn));
	c->psd[0].mp = 100;		/* a watt */
}

static void
identify_namespace(const struct nvme *n, struct namespace *ns)
{
	/* Blocks of a page of the host's: smaller writes may cost more. */
	uint16_t preferred = (uint16_t)((PAGE >> n->lbashift) - 1);

	ns->nsze = ns->ncap = ns->nuse = nvme_blocks(n);
	ns->nsfeat = 0x10;		/* the preferences below */
	ns->npwg = ns->npwa = ns->npdg = ns->npda = preferred;
	/* What a deallocated block reads as depends on the image; Write Zeroes may deallocate. */
	ns->dlfeat = nvme_has_discard(n) ? 0x08 : 0;
	ns->nsattr = block_readonly(n->image) ? NSATTR_PROTECTED : 0;
	memcpy(ns->eui64, n->eui64, sizeof(ns->eui64));
	ns->lbaf[0] = (uint32_t)n->lbashift << 16;
}

uint16_t
nvme_identify(struct nvme *n, struct nvme_req *r)
{
	union {
		struct controller c;
		struct namespace ns;
		uint32_t	list[PAGE / 4];
		uint8_t		bytes[PAGE];
	} data;
	uint32_t nsid = r->cmd.nsid;

	memset(&data, 0, sizeof(data));
	switch (r->cmd.cdw10 & 0xff) {
	case 0x00:			/* a namespace */
		if (nsid != 1)
			return (NVME_INVALID_NAMESPACE);
		identify_namespace(n, &data.ns);
		break;
	case 0x01:			/* the controller */
		identify_controller(n, &data.c);
		break;
	case 0x02:			/* namespaces behind that one */
		if (nsid >= NVME_ALL - 1)
			return (NVME_INVALID_NAMESPACE);
		data.list[0] = nsid < 1;
		break;
	case 0x03:			/* 5.15.2.3: type, length, two reserved bytes */
		if (nsid != 1)
			return (NVME_INVALID_NAMESPACE);
		data.bytes[0] = 1;
		data.bytes[1] = sizeof(n->eui64);
		memcpy(data.bytes + 4, n->eui64, sizeof(n->eui64));
		break;
	default:
		return (NVME_INVALID_FIELD);
	}
	return (nvme_put(n, &r->cmd, &data, PAGE, PAGE));
}

/* Log pages */

static void
store(uint8_t *p, uint64_t v, unsigned size)
{
	memcpy(p, &v, size);
}

/* 5.14.1.1: the newest first */
static size_t
error_log(struct nvme *n, uint8_t *p)
{
	uint64_t last = n->counters.errors;

	for (unsigned i = 0; i < NVME_ERRORS_MAX && i < last; i++) {
		const struct nvme_error *e = &n->error[(last - i) % NVME_ERRORS_MAX];
		uint8_t *to = p + 64 * (size_t)i;

		store(to, e->count, 8);
		store(to + 8, e->sqid, 2);
		store(to + 10, e->cid, 2);
		store(to + 12, (uint64_t)e->status << 1, 2);
		store(to + 14, UINT16_MAX, 2);		/* no parameter's */
		store(to + 16, e->lba, 8);
		store(to + 24, e->nsid, 4);
	}
	return (64 * (size_t)NVME_ERRORS_MAX);
}

/* 5.14.1.2: a unit of data is 1000 sectors of 512 bytes, rounded up. */
static size_t
smart_log(struct nvme *n, uint8_t *p)
{
	const struct nvme_counters *c = &n->counters;

	p[0] = nvme_warnings(n);
	store(p + 1, NVME_TEMPERATURE, 2);
	p[3] = 100;			/* available spare, and its threshold, in percent */
	p[4] = 10;
	store(p + 32, (c->sectors_read + 999) / 1000, 8);
	store(p + 48, (c->sectors_written + 999) / 1000, 8);
	store(p + 64, c->reads, 8);
	store(p + 80, c->writes, 8);
	store(p + 112, 1, 8);		/* power cycles */
	store(p + 128, vm_clock_now(n->dev->vmm->vm) / (3600 * 1000000000ULL), 8);
	store(p + 160, c->media_errors, 8);
	store(p + 176, c->errors, 8);
	return (512);
}

/* 5.14.1.3 */
static size_t
firmware_log(uint8_t *p)
{
	p[0] = 1;			/* the slot that is active */
	memcpy(p + 8, NVME_FIRMWARE, 8);
	return (512);
}

/* 5.14.1.5: bit 0: supported; bit 1: changes blocks. */
static size_t
effects_log(const struct nvme *n, uint8_t *p)
{
	static const uint8_t admin[] = { 0x00, 0x01, 0x02, 0x04, 0x05, 0x06, 0x08, 0x09, 0x0a, 0x0c };

	for (unsigned i = 0; i < sizeof(admin); i++)
		p[4 * admin[i]] = 0x01;
	p += 1024;
	p[4 * 0x00] = p[4 * 0x02] = p[4 * 0x05] = 0x01;
	p[4 * 0x01] = p[4 * 0x08] = 0x03;
	p[4 * 0x09] = nvme_has_discard(n) ? 0x03 : 0;
	return (PAGE);
}

/* Who reads a log, and does not ask to retain the event, has heard of it (5.2). */
static void
clear_event(struct nvme *n, unsigned type, uint32_t cdw10)
{
	if ((cdw10 & 0x8000) == 0)
		n->event[type].pending = n->event[type].masked = false;
}

uint16_t
nvme_log_page(struct nvme *n, struct nvme_req *r)
{
	uint64_t off = r->cmd.cdw12 | (uint64_t)r->cmd.cdw13 << 32;
	size_t len = (((r->cmd.cdw11 & 0xffffULL) << 16 | r->cmd.cdw10 >> 16) + 1) * 4, have;
	uint32_t id = r->cmd.cdw10 & 0xff;
	uint8_t page[PAGE] = { 0 };
	uint16_t status;

	/* LPA: no page is a namespace's. */
	if (r->cmd.nsid != 0 && r->cmd.nsid != NVME_ALL)
		return (r->cmd.nsid == 1 ? NVME_INVALID_FIELD : NVME_INVALID_NAMESPACE);
	switch (id) {
	case 0x01:
		have = error_log(n, page);
		break;
	case 0x02:
		have = smart_log(n, page);
		break;
	case 0x03:
		have = firmware_log(page);
		break;
	case 0x05:
		have = effects_log(n, page);
		break;
	default:
		return (NVME_INVALID_LOG);
	}
	if (off % 4 != 0 || off > have || len > NVME_DATA_MAX)
		return (NVME_INVALID_FIELD);
	/* What is behind the end is not defined: nothing is written. */
	have -= (size_t)off;
	status = nvme_put(n, &r->cmd, page + off, len < have ? len : have, len);
	if (status == NVME_OK && (id == 0x01 || id == 0x02))
		clear_event(n, id == 0x01 ? NVME_EVENT_ERROR : NVME_EVENT_SMART, r->cmd.cdw10);
	return (status);
}
