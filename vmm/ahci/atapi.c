/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * atapi.c - a CD or DVD drive with a read-only medium: PACKET (ACS 7.18) and its commands (SPC 6, MMC 6), over an image of block/.
 *
 * The medium is one session with one track of data.  A drive without one, or with an open tray, says so.
 */
#include <string.h>

#include "ahci.h"

/* Opcodes (SPC 6, MMC 6) */
enum {
	TEST_UNIT_READY = 0x00, REQUEST_SENSE = 0x03, INQUIRY = 0x12, MODE_SENSE_6 = 0x1a, START_STOP = 0x1b, PREVENT = 0x1e, READ_CAPACITY = 0x25,
	READ_10 = 0x28, SEEK_10 = 0x2b, READ_TOC = 0x43, GET_CONFIGURATION = 0x46, GET_EVENT = 0x4a, READ_DISC = 0x51, READ_TRACK = 0x52,
	MODE_SENSE_10 = 0x5a, READ_12 = 0xa8, SET_SPEED = 0xbb, MECHANISM = 0xbd, READ_CD = 0xbe,
};

enum {
	P_MEDIUM = 0x01,	/* it needs one */
	P_ALWAYS = 0x02,	/* a unit attention does not keep it from being executed (SPC 5.14) */
};

/* Sense keys (SPC 4.5.6) and codes (SPC annex D) */
enum { NOT_READY = 2, MEDIUM_ERROR = 3, ILLEGAL_REQUEST = 5, UNIT_ATTENTION = 6 };
enum {
	ASC_READ_ERROR = 0x11, ASC_OPCODE = 0x20, ASC_LBA = 0x21, ASC_FIELD = 0x24, ASC_CHANGED = 0x28, ASC_RESET = 0x29, ASC_NO_MEDIUM = 0x3a,
	ASC_LOCKED = 0x53,
};
#define	NO_MEDIUM_CLOSED 1
#define	NO_MEDIUM_OPEN	2
#define	REMOVAL_PREVENTED 2

/* Events of the medium (MMC 6.6.3.4) */
enum { EVENT_NONE, EVENT_EJECT_REQUEST, EVENT_NEW_MEDIUM, EVENT_REMOVAL };
#define	EVENT_CLASS	4
#define	EVENT_CLASSES	(1U << EVENT_CLASS)

/* Profiles and features (MMC 5.3) */
#define	PROFILE_CD	0x0008U
#define	PROFILE_DVD	0x0010U
#define	CD_SECTORS_MAX	405000U		/* 90 minutes: more is no CD */

#define	LEAD_OUT	0xaaU
#define	DATA_TRACK	0x14U		/* ADR 1, control 4: data (MMC 6.25.3.2.3) */
#define	BUF_LEN		512U

static uint16_t
be16(const uint8_t *p)
{
	return ((uint16_t)(p[0] << 8 | p[1]));
}

static uint32_t
be32(const uint8_t *p)
{
	return ((uint32_t)be16(p) << 16 | be16(p + 2));
}

static void
put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void
put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static bool
has_medium(const struct ahci_port *p)
{
	return (p->image != NULL && !p->open);
}

/* An address has 32 bits. */
static uint32_t
sectors(const struct ahci_port *p)
{
	uint64_t n = block_size(p->image) / AHCI_CD_SECTOR;

	return (n < UINT32_MAX ? (uint32_t)n : UINT32_MAX);
}

static unsigned
profile(const struct ahci_port *p)
{
	return (!has_medium(p) ? 0 : sectors(p) > CD_SECTORS_MAX ? PROFILE_DVD : PROFILE_CD);
}

/* CHECK CONDITION: the sense key is in the error register (ACS 7.18.5). */
static int
fail(struct ahci_cmd *c, uint8_t key, uint8_t code, uint8_t qualifier)
{
	c->p->sense = (struct atapi_sense){ key, code, qualifier };
	return (key << 4 | ATA_ABRT);
}

static int
bad_field(struct ahci_cmd *c)
{
	return (fail(c, ILLEGAL_REQUEST, ASC_FIELD, 0));
}

/* Data of which the driver takes at most room bytes. */
static int
reply(struct ahci_cmd *c, const uint8_t *buf, size_t len, size_t room)
{
	return (ahci_put(c, buf, len < room ? len : room));
}

void
atapi_reset(struct ahci_port *p)
{
	memset(&p->sense, 0, sizeof(p->sense));
	p->attention = ASC_RESET;
	p->event = EVENT_NONE;
	p->open = p->locked = false;
}

void
atapi_failed(struct ahci_port *p)
{
	p->sense = (struct atapi_sense){ MEDIUM_ERROR, ASC_READ_ERROR, 0 };
}

/* About the drive */

static int
test_unit_ready(struct ahci_cmd *c, unsigned flags)
{
	return (0);
}

/* SPC 6.35; what was told is over. */
static int
request_sense(struct ahci_cmd *c, unsigned flags)
{
	struct ahci_port *p = c->p;
	uint8_t buf[18] = { 0x70, [7] = 10 };

	if (p->sense.key == 0 && p->attention != 0) {
		p->sense = (struct atapi_sense){ UNIT_ATTENTION, p->attention, 0 };
		p->attention = 0;
	}
	buf[2] = p->sense.key;
	buf[12] = p->sense.code;
	buf[13] = p->sense.qualifier;
	memset(&p->sense, 0, sizeof(p->sense));
	return (reply(c, buf, sizeof(buf), c->cdb[4]));
}

/* SPC 6.6: a removable CD drive, SPC 3, of MMC. */
static int
inquiry(struct ahci_cmd *c, unsigned flags)
{
	uint8_t buf[36] = { 0x05, 0x80, 0x05, 0x02, 31 };

	if ((c->cdb[1] & 1) != 0 || c->cdb[2] != 0)
		return (bad_field(c));
	memcpy(buf + 8, "HYVE    ", 8);
	memcpy(buf + 16, c->p->model, 16);
	memcpy(buf + 32, c->p->revision, 4);
	return (reply(c, buf, sizeof(buf), be16(c->cdb + 3)));
}

/* Mode pages (MMC 7), behind a header of head bytes whose first two or one are the length of what follows. */
static int
mode_sense(struct ahci_cmd *c, unsigned head)
{
	static const uint8_t recovery[] = { 0x01, 0x0a, 0x00, 0x05 };		/* 7.2.2: five retries */
	/* 7.2.4: reads CD-R, CD-RW, DVD-ROM; plays nothing; a tray that can be locked and opened */
	static const uint8_t capabilities[] = { 0x2a, 0x12, 0x03 | 0x08, 0x00, 0x40, 0x00, 0x29 };
	uint8_t buf[8 + 12 + 20] = { 0 };
	unsigned page = c->cdb[2] & 0x3f, len = head, control = c->cdb[2] >> 6;

	if (control == 3)		/* saved values */
		return (fail(c, ILLEGAL_REQUEST, 0x39, 0));
	if (page != 0x01 && page != 0x2a && page != 0x3f)
		return (bad_field(c));
	if (page != 0x2a) {
		memcpy(buf + len, recovery, control == 1 ? 2 : sizeof(recovery));
		len += 12;
	}
	if (page != 0x01) {
		memcpy(buf + len, capabilities, control == 1 ? 2 : sizeof(capabilities));
		if (control != 1 && c->p->locked)
			buf[len + 6] |= 0x02;
		len += 20;
	}
	if (head == 8)
		put16(buf, len - 2);
	else
		buf[0] = (uint8_t)(len - 1);
	return (reply(c, buf, len, head == 8 ? be16(c->cdb + 7) : c->cdb[4]));
}

/* A feature descriptor (MMC 5.2.2); its end. */
static uint8_t *
feature(uint8_t *to, unsigned code, unsigned flags, const uint8_t *data, unsigned len)
{
	put16(to, code);
	to[2] = (uint8_t)flags;
	to[3] = (uint8_t)len;
	memcpy(to + 4, data, len);
	return (to + 4 + len);
}

/* MMC 6.5 */
static int
get_configuration(struct ahci_cmd *c, unsigned flags)
{
	unsigned now = profile(c->p), type = c->cdb[1] & 3, first = be16(c->cdb + 2), cd = now == PROFILE_CD, dvd = now == PROFILE_DVD;
	/* Flags are bits for current and persistent, and a version above them. */
	const uint8_t profiles[] = { 0, PROFILE_DVD, (uint8_t)dvd, 0, 0, PROFILE_CD, (uint8_t)cd, 0 };
	const uint8_t core[] = { 0, 0, 0, 2, 1, 0, 0, 0 }, morphing[] = { 0, 0, 0, 0 }, removable[] = { 0x29, 0, 0, 0 };
	const uint8_t random[] = { 0, 0, 0x08, 0, 0, 1, 0, 0 }, reads_cd[] = { 0, 0, 0, 0 };
	const struct { unsigned code, flags; const uint8_t *data; unsigned len; } all[] = {
		{ 0x00, 3, profiles, sizeof(profiles) },
		{ 0x01, 2U << 2 | 3, core, sizeof(core) },
		{ 0x02, 1U << 2 | 3, morphing, sizeof(morphing) },
		{ 0x03, 3, removable, sizeof(removable) },
		{ 0x10, now != 0, random, sizeof(random) },
		{ 0x1e, 2U << 2 | cd, reads_cd, sizeof(reads_cd) },
		{ 0x1f, dvd, NULL, 0 },
	};
	uint8_t buf[BUF_LEN] = { 0 }, *end = buf + 8;

	if (type == 3)
		return (bad_field(c));
	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		/* RT (6.5.2.2): all, the current ones, or one */
		if (type == 2 ? all[i].code == first : all[i].code >= first && (type == 0 || (all[i].flags & 1) != 0))
			end = feature(end, all[i].code, all[i].flags, all[i].len != 0 ? all[i].data : buf, all[i].len);
	}
	put32(buf, (uint32_t)(end - buf) - 4);
	put16(buf + 6, now);
	return (reply(c, buf, (size_t)(end - buf), be16(c->cdb + 7)));
}

/* MMC 6.6, by polling. */
static int
get_event(struct ahci_cmd *c, unsigned flags)
{
	struct ahci_port *p = c->p;
	bool media = (c->cdb[4] & EVENT_CLASSES) != 0;
	uint8_t buf[8] = { 0, media ? 6 : 2, media ? EVENT_CLASS : 0x80, EVENT_CLASSES };
	size_t room = be16(c->cdb + 7);

	if ((c->cdb[1] & 1) == 0)
		return (bad_field(c));
	if (!media)
		return (reply(c, buf, 4, room));
	buf[4] = p->event;
	buf[5] = (uint8_t)((p->open ? 1 : 0) | (has_medium(p) ? 2 : 0));
	if (room > 4)
		p->event = EVENT_NONE;
	return (reply(c, buf, sizeof(buf), room));
}

/* MMC 6.10 */
static int
mechanism(struct ahci_cmd *c, unsigned flags)
{
	uint8_t buf[8] = { 0, c->p->open ? 0x10 : 0 };

	return (reply(c, buf, sizeof(buf), be16(c->cdb + 8)));
}

/* The tray */

/* SPC 6.18 */
static int
prevent(struct ahci_cmd *c, unsigned flags)
{
	if ((c->cdb[4] & 2) != 0)
		return (bad_field(c));
	c->p->locked = (c->cdb[4] & 1) != 0;
	return (0);
}

/* MMC 6.42: bits 1 and 0 are load or eject, and start. */
static int
start_stop(struct ahci_cmd *c, unsigned flags)
{
	struct ahci_port *p = c->p;

	if (c->cdb[4] >> 4 != 0)	/* power conditions */
		return (bad_field(c));
	if ((c->cdb[4] & 3) == 2) {
		if (p->locked && has_medium(p))
			return (fail(c, ILLEGAL_REQUEST, ASC_LOCKED, REMOVAL_PREVENTED));
		if (!p->open && p->image != NULL)
			p->event = EVENT_REMOVAL;
		p->open = true;
	} else if ((c->cdb[4] & 3) == 3) {
		if (p->open && p->image != NULL) {
			p->event = EVENT_NEW_MEDIUM;
			p->attention = ASC_CHANGED;
		}
		p->open = false;
	} else if ((c->cdb[4] & 1) != 0 && !has_medium(p)) {
		return (fail(c, NOT_READY, ASC_NO_MEDIUM, p->open ? NO_MEDIUM_OPEN : NO_MEDIUM_CLOSED));
	}
	return (0);
}

/* The medium */

/* MMC 6.22 */
static int
read_capacity(struct ahci_cmd *c, unsigned flags)
{
	uint8_t buf[8];

	put32(buf, sectors(c->p) - 1);
	put32(buf + 4, AHCI_CD_SECTOR);
	return (reply(c, buf, sizeof(buf), sizeof(buf)));
}

static int
transfer(struct ahci_cmd *c, uint32_t lba, uint32_t count)
{
	struct ahci_port *p = c->p;

	if (lba > sectors(p) || count > sectors(p) - lba)
		return (fail(c, ILLEGAL_REQUEST, ASC_LBA, 0));
	if (count == 0)
		return (0);
	p->power = ATA_ACTIVE;
	c->off = (uint64_t)lba * AHCI_CD_SECTOR;
	c->left = (uint64_t)count * AHCI_CD_SECTOR;
	c->failure = MEDIUM_ERROR << 4 | ATA_ABRT;
	p->reads += count;
	return (ahci_transfer(c, false));
}

/* MMC 6.14, 6.17 */
static int
read(struct ahci_cmd *c, unsigned flags)
{
	return (transfer(c, be32(c->cdb + 2), c->cdb[0] == READ_12 ? be32(c->cdb + 6) : be16(c->cdb + 7)));
}

/* MMC 6.15: of data sectors the user data alone, or nothing. */
static int
read_cd(struct ahci_cmd *c, unsigned flags)
{
	unsigned type = c->cdb[1] >> 2 & 7, what = c->cdb[9] & 0xf8;
	uint32_t count = (uint32_t)c->cdb[6] << 16 | be16(c->cdb + 7);

	if ((type != 0 && type != 2) || (what != 0x10 && what != 0) || (c->cdb[10] & 7) != 0)
		return (bad_field(c));
	return (transfer(c, be32(c->cdb + 2), what != 0 ? count : 0));
}

static int
seek(struct ahci_cmd *c, unsigned flags)
{
	return (be32(c->cdb + 2) < sectors(c->p) ? 0 : fail(c, ILLEGAL_REQUEST, ASC_LBA, 0));
}

/* An address as it is, or as minutes, seconds and frames (MMC 4.2.3.5). */
static void
put_address(uint8_t *to, uint32_t lba, bool msf)
{
	if (!msf) {
		put32(to, lba);
		return;
	}
	lba += 150;
	to[0] = 0;
	to[1] = (uint8_t)(lba / 75 / 60);
	to[2] = (uint8_t)(lba / 75 % 60);
	to[3] = (uint8_t)(lba % 75);
}

/* Of READ TOC: the tracks from the one wanted on (6.25.3.2); its length, 0: there is no such track. */
static size_t
toc_tracks(const struct ahci_cmd *c, uint8_t *buf, bool msf)
{
	unsigned first = c->cdb[6];
	uint8_t *to = buf + 4;

	if (first > 1 && first != LEAD_OUT)
		return (0);
	if (first != LEAD_OUT) {
		to[1] = DATA_TRACK;
		to[2] = 1;
		put_address(to + 4, 0, msf);
		to += 8;
	}
	to[1] = DATA_TRACK;
	to[2] = LEAD_OUT;
	put_address(to + 4, sectors(c->p), msf);
	return ((size_t)(to + 8 - buf));
}

/* The one session (6.25.3.3). */
static size_t
toc_session(const struct ahci_cmd *c, uint8_t *buf, bool msf)
{
	buf[5] = DATA_TRACK;
	buf[6] = 1;
	put_address(buf + 8, 0, msf);
	return (12);
}

/* As the lead-in has it (6.25.3.4): first track, last track, lead-out, track 1. */
static size_t
toc_full(const struct ahci_cmd *c, uint8_t *buf, bool msf)
{
	static const uint8_t points[] = { 0xa0, 0xa1, 0xa2, 1 };
	uint8_t *to = buf + 4;

	for (unsigned i = 0; i < sizeof(points); i++, to += 11) {
		to[0] = 1;
		to[1] = DATA_TRACK;
		to[3] = points[i];
		if (points[i] == 0xa2 || points[i] == 1)
			put_address(to + 7, points[i] == 1 ? 0 : sectors(c->p), true);
		else
			to[8] = 1;
	}
	return ((size_t)(to - buf));
}

static int
read_toc(struct ahci_cmd *c, unsigned flags)
{
	static size_t (*const formats[])(const struct ahci_cmd *c, uint8_t *buf, bool msf) = { toc_tracks, toc_session, toc_full };
	unsigned format = c->cdb[2] & 15;
	uint8_t buf[64] = { 0 };
	size_t len;

	if (format == 0)		/* where older commands have it */
		format = c->cdb[9] >> 6;
	if (format >= sizeof(formats) / sizeof(formats[0]) || (len = formats[format](c, buf, (c->cdb[1] & 2) != 0)) == 0)
		return (bad_field(c));
	put16(buf, (uint32_t)len - 2);
	buf[2] = buf[3] = 1;
	return (reply(c, buf, len, be16(c->cdb + 7)));
}

/* MMC 6.21: complete, one session, and where tracks begin and end. */
static int
read_disc(struct ahci_cmd *c, unsigned flags)
{
	uint8_t buf[34] = { 0, 32, 0x0e, 1, 1, 1, 1, 0x20 };

	if ((c->cdb[1] & 7) != 0)
		return (bad_field(c));
	memset(buf + 16, 0xff, 8);
	return (reply(c, buf, sizeof(buf), be16(c->cdb + 7)));
}

/* MMC 6.26: of the one track, by an address in it, its number or its session's. */
static int
read_track(struct ahci_cmd *c, unsigned flags)
{
	uint8_t buf[36] = { 0, 34, 1, 1, [5] = 0x04, [6] = 0x01 };
	uint32_t which = be32(c->cdb + 2);

	if ((c->cdb[1] & 3) == 0 ? which >= sectors(c->p) : (c->cdb[1] & 3) == 3 || which != 1)
		return (bad_field(c));
	put32(buf + 24, sectors(c->p));
	return (reply(c, buf, sizeof(buf), be16(c->cdb + 7)));
}

static const struct ata_command packets[] = {
	{ TEST_UNIT_READY, P_MEDIUM, test_unit_ready }, { REQUEST_SENSE, P_ALWAYS, request_sense }, { INQUIRY, P_ALWAYS, inquiry },
	{ MODE_SENSE_6, 4, mode_sense }, { START_STOP, 0, start_stop }, { PREVENT, 0, prevent }, { READ_CAPACITY, P_MEDIUM, read_capacity },
	{ READ_10, P_MEDIUM, read }, { SEEK_10, P_MEDIUM, seek }, { READ_TOC, P_MEDIUM, read_toc },
	{ GET_CONFIGURATION, P_ALWAYS, get_configuration }, { GET_EVENT, P_ALWAYS, get_event }, { READ_DISC, P_MEDIUM, read_disc },
	{ READ_TRACK, P_MEDIUM, read_track }, { MODE_SENSE_10, 8, mode_sense }, { READ_12, P_MEDIUM, read }, { SET_SPEED, 0, test_unit_ready },
	{ MECHANISM, 0, mechanism }, { READ_CD, P_MEDIUM, read_cd },
};

/* ACS 7.18: the interrupt reason in the count says that the command is over. */
static int
packet(struct ahci_cmd *c, unsigned flags)
{
	struct ahci_port *p = c->p;
	const struct ata_command *cmd = NULL;

	c->out.count = 3;
	for (unsigned i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
		if (packets[i].command == c->cdb[0])
			cmd = &packets[i];
	}
	if (p->attention != 0 && (cmd == NULL || (cmd->flags & P_ALWAYS) == 0)) {
		uint8_t code = p->attention;

		p->attention = 0;
		return (fail(c, UNIT_ATTENTION, code, 0));
	}
	if (cmd == NULL)
		return (fail(c, ILLEGAL_REQUEST, ASC_OPCODE, 0));
	if ((cmd->flags & P_MEDIUM) != 0 && !has_medium(p))
		return (fail(c, NOT_READY, ASC_NO_MEDIUM, p->open ? NO_MEDIUM_OPEN : NO_MEDIUM_CLOSED));
	if (c->cdb[0] != REQUEST_SENSE)
		memset(&p->sense, 0, sizeof(p->sense));
	return (cmd->execute(c, cmd->flags));
}

/* ACS 7.9, 7.12.2: whoever takes it for a disk is told what it is. */
static int
no_disk(struct ahci_cmd *c, unsigned flags)
{
	ata_signature(c->p, &c->out);
	return (ATA_ABRT);
}

static int
device_reset(struct ahci_cmd *c, unsigned flags)
{
	ata_reset(c->p, false);
	ata_signature(c->p, &c->out);
	c->code = ATA_PASSED;
	return (0);
}

static const struct ata_command commands[] = {
	{ 0x08, 0, device_reset }, { 0x20, 0, no_disk }, { 0xa0, 0, packet }, { 0xa1, 0, ata_identify_packet }, { 0xec, 0, no_disk },
};

const struct ata_command *
atapi_command(uint8_t command)
{
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (commands[i].command == command)
			return (&commands[i]);
	}
	return (NULL);
}
