/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nvme_admin.c - the administrator's commands (NVMe 1.4 section 5) but for those that only tell (nvme_identify.c): queues, features,
 * abort, asynchronous event requests.
 */
#include <string.h>

#include "nvme.h"

/* Opcodes (5, figure of admin commands) */
enum {
	OP_DELETE_SQ = 0x00, OP_CREATE_SQ = 0x01, OP_LOG_PAGE = 0x02, OP_DELETE_CQ = 0x04, OP_CREATE_CQ = 0x05, OP_IDENTIFY = 0x06,
	OP_ABORT = 0x08, OP_SET_FEATURES = 0x09, OP_GET_FEATURES = 0x0a, OP_EVENT_REQUEST = 0x0c,
};

/* Features (5.21.1) */
enum {
	F_ARBITRATION = 0x01, F_POWER = 0x02, F_TEMPERATURE = 0x04, F_RECOVERY = 0x05, F_CACHE = 0x06, F_QUEUES = 0x07,
	F_COALESCING = 0x08, F_VECTOR = 0x09, F_ATOMICITY = 0x0a, F_EVENTS = 0x0b,
};

#define	DEFAULT_OVER	343U		/* kelvins: WCTEMP */
#define	Q_CONTIGUOUS	0x1U		/* cdw11 of creations */
#define	Q_INTERRUPTS	0x2U
#define	SAVE		0x80000000U	/* cdw10 of Set Features */
#define	DULBE		0x10000U
#define	TEMP_SELECT(v)	((v) >> 16 & 15)
#define	TEMP_ALL	15U
#define	TEMP_UNDER(v)	((v) >> 20 & 3)

/* Queues */

static bool
io_queue(const struct nvme *n, unsigned qid, uint32_t count)
{
	return (qid != 0 && qid < n->nqueues && qid <= count);
}

/* What both creations ask of the queue's memory. */
static uint16_t
check_memory(const struct nvme *n, const struct nvme_cmd *cmd, uint32_t size, unsigned entry)
{
	/* CAP.CQR */
	if ((cmd->cdw11 & Q_CONTIGUOUS) == 0)
		return (NVME_INVALID_FIELD);
	if (cmd->prp1 % nvme_page(n) != 0)
		return (NVME_PRP_OFFSET);
	return (nvme_in_ram(n, cmd->prp1, (size_t)size << entry) ? NVME_OK : NVME_INVALID_FIELD);
}

/* 5.3 */
static uint16_t
create_cq(struct nvme *n, struct nvme_req *r)
{
	const struct nvme_cmd *cmd = &r->cmd;
	uint32_t size = (cmd->cdw10 >> 16) + 1;
	unsigned qid = cmd->cdw10 & 0xffff, vector = cmd->cdw11 >> 16;
	uint16_t status;

	if (!io_queue(n, qid, n->features.ncq) || n->cq[qid].size != 0)
		return (NVME_INVALID_QID);
	if (size < 2 || size > n->qmax || NVME_CC_IOCQES(n->cc) != NVME_CQES)
		return (NVME_INVALID_QSIZE);
	if (vector >= n->nqueues)
		return (NVME_INVALID_VECTOR);
	status = check_memory(n, cmd, size, NVME_CQES);
	if (status != NVME_OK)
		return (status);
	n->cq[qid] = (struct nvme_cq){
		.base = cmd->prp1, .size = size, .vector = (uint16_t)vector, .ien = (cmd->cdw11 & Q_INTERRUPTS) != 0, .phase = true,
	};
	return (NVME_OK);
}

/* 5.4 */
static uint16_t
create_sq(struct nvme *n, struct nvme_req *r)
{
	const struct nvme_cmd *cmd = &r->cmd;
	uint32_t size = (cmd->cdw10 >> 16) + 1;
	unsigned qid = cmd->cdw10 & 0xffff, cqid = cmd->cdw11 >> 16;
	uint16_t status;

	if (!io_queue(n, qid, n->features.nsq) || n->sq[qid].size != 0 || cqid == 0)
		return (NVME_INVALID_QID);
	if (cqid >= n->nqueues || n->cq[cqid].size == 0)
		return (NVME_CQ_INVALID);
	if (size < 2 || size > n->qmax || NVME_CC_IOSQES(n->cc) != NVME_SQES)
		return (NVME_INVALID_QSIZE);
	status = check_memory(n, cmd, size, NVME_SQES);
	if (status != NVME_OK)
		return (status);
	n->sq[qid] = (struct nvme_sq){ .base = cmd->prp1, .size = size, .cqid = (uint16_t)cqid };
	return (NVME_OK);
}

/* 5.5 */
static uint16_t
delete_cq(struct nvme *n, struct nvme_req *r)
{
	unsigned qid = r->cmd.cdw10 & 0xffff;

	if (!io_queue(n, qid, NVME_QUEUES_MAX) || n->cq[qid].size == 0)
		return (NVME_INVALID_QID);
	for (unsigned i = 1; i < n->nqueues; i++) {
		if (n->sq[i].size != 0 && n->sq[i].cqid == qid)
			return (NVME_INVALID_DELETION);
	}
	memset(&n->cq[qid], 0, sizeof(n->cq[qid]));
	return (NVME_OK);
}

/* 5.6: after the commands that were taken; those that were not are dropped. */
static uint16_t
delete_sq(struct nvme *n, struct nvme_req *r)
{
	unsigned qid = r->cmd.cdw10 & 0xffff;

	if (!io_queue(n, qid, NVME_QUEUES_MAX) || n->sq[qid].size == 0 || n->sq[qid].deleting)
		return (NVME_INVALID_QID);
	n->sq[qid].deleting = true;
	n->sq[qid].del = *r;
	nvme_released(n, qid);
	return (NVME_LATER);
}

/* 5.2 */
static uint16_t
event_request(struct nvme *n, struct nvme_req *r)
{
	if (n->naers == NVME_AERS_MAX)
		return (NVME_TOO_MANY_AERS);
	n->aer[n->naers++] = r->cmd.cid;
	/* Its completion may be far, and is owed by nobody until then. */
	n->sq[0].owed--;
	n->cq[0].owed--;
	return (NVME_LATER);
}

/* 5.1: what the image has begun cannot be taken back, so only an event request can be; one that is not aborted sets bit 0. */
static uint16_t
abort_command(struct nvme *n, struct nvme_req *r)
{
	struct nvme_req other = { .cmd.cid = (uint16_t)(r->cmd.cdw10 >> 16) };
	struct nvme_cq *cq = &n->cq[0];
	unsigned i;

	r->result = 1;
	if ((r->cmd.cdw10 & 0xffff) != 0)
		return (NVME_OK);
	for (i = 0; i < n->naers && n->aer[i] != other.cmd.cid; i++)
		;
	/* Two answers then, of which one has its place. */
	if (i == n->naers || !nvme_has_room(cq))
		return (NVME_OK);
	n->naers--;
	memmove(n->aer + i, n->aer + i + 1, (n->naers - i) * sizeof(n->aer[0]));
	n->sq[0].owed++;
	cq->owed++;
	nvme_complete(n, &other, NVME_ABORT_REQUESTED);
	r->result = 0;
	return (NVME_OK);
}

/* Features */

void
nvme_features_reset(struct nvme *n)
{
	n->features = (struct nvme_features){
		.over = DEFAULT_OVER, .wce = !n->writethrough, .nsq = n->nqueues - 1, .ncq = n->nqueues - 1,
	};
}

uint8_t
nvme_warnings(const struct nvme *n)
{
	return (NVME_TEMPERATURE >= n->features.over || NVME_TEMPERATURE <= n->features.under ? 0x02 : 0);
}

/* A temperature's threshold (5.21.1.4); NULL: there is no such sensor. */
static uint16_t *
threshold(struct nvme_features *f, uint32_t cdw11, bool set)
{
	unsigned sensor = TEMP_SELECT(cdw11);

	if (sensor != 0 && !(set && sensor == TEMP_ALL))
		return (NULL);
	return (TEMP_UNDER(cdw11) == 0 ? &f->over : TEMP_UNDER(cdw11) == 1 ? &f->under : NULL);
}

/* 5.2: a warning that there is now and was not, or that the driver did not want to hear of. */
static void
tell_warning(struct nvme *n, uint8_t before)
{
	if ((nvme_warnings(n) & ~before & n->features.events) != 0)
		nvme_event(n, NVME_EVENT_SMART, NVME_OVER_TEMPERATURE);
}

static uint16_t
set_temperature(struct nvme *n, uint32_t v)
{
	uint16_t *t = threshold(&n->features, v, true);
	uint8_t before = nvme_warnings(n) & (uint8_t)n->features.events;

	if (t == NULL)
		return (NVME_INVALID_FIELD);
	*t = (uint16_t)v;
	tell_warning(n, before);
	return (NVME_OK);
}

static uint16_t
set_events(struct nvme *n, uint32_t v)
{
	uint8_t before = nvme_warnings(n) & (uint8_t)n->features.events;

	n->features.events = v & 0xff;		/* no notices: OAES */
	tell_warning(n, before);
	return (NVME_OK);
}

/* 5.21.1.7: as many as were asked for, and exist. */
static uint16_t
set_queues(struct nvme *n, struct nvme_req *r)
{
	uint32_t nsq = (r->cmd.cdw11 & 0xffff) + 1, ncq = (r->cmd.cdw11 >> 16) + 1, max = n->nqueues - 1;

	if (nsq == 65536 || ncq == 65536)
		return (NVME_INVALID_FIELD);
	for (unsigned i = 1; i < n->nqueues; i++) {
		if (n->sq[i].size != 0 || n->cq[i].size != 0)
			return (NVME_SEQUENCE_ERROR);
	}
	n->features.nsq = nsq < max ? nsq : max;
	n->features.ncq = ncq < max ? ncq : max;
	r->result = (n->features.ncq - 1) << 16 | (n->features.nsq - 1);
	return (NVME_OK);
}

static uint16_t
set_vector(struct nvme *n, uint32_t v)
{
	unsigned vector = v & 0xffff;

	if (vector >= n->nqueues)
		return (NVME_INVALID_FIELD);
	if ((v & 0x10000) != 0)
		n->features.uncoalesced |= 1ULL << vector;
	else
		n->features.uncoalesced &= ~(1ULL << vector);
	return (NVME_OK);
}

/* 5.21: values are not saved, and all but one are the controller's. */
static uint16_t
set_features(struct nvme *n, struct nvme_req *r)
{
	uint32_t v = r->cmd.cdw11, nsid = r->cmd.nsid, id = r->cmd.cdw10 & 0xff;
	struct nvme_features *f = &n->features;

	if ((r->cmd.cdw10 & SAVE) != 0)
		return (NVME_NOT_SAVEABLE);
	if (nsid > 1 && nsid != NVME_ALL)
		return (NVME_INVALID_NAMESPACE);
	if (nsid == 1 && id != F_RECOVERY)
		return (NVME_NOT_NS_SPECIFIC);
	switch (id) {
	case F_ARBITRATION:
		f->arbitration = v;
		return (NVME_OK);
	case F_POWER:			/* one state */
		return ((v & 0x1f) == 0 ? NVME_OK : NVME_INVALID_FIELD);
	case F_TEMPERATURE:
		return (set_temperature(n, v));
	case F_RECOVERY:
		if ((v & DULBE) != 0)
			return (NVME_INVALID_FIELD);
		f->recovery = v & 0xffff;
		return (NVME_OK);
	case F_CACHE:
		f->wce = (v & 1) != 0;
		return (NVME_OK);
	case F_QUEUES:
		return (set_queues(n, r));
	case F_COALESCING:		/* 7.5: a recommendation */
		f->coalescing = v & 0xffff;
		return (NVME_OK);
	case F_VECTOR:
		return (set_vector(n, v));
	case F_ATOMICITY:
		f->atomicity = v & 1;
		return (NVME_OK);
	case F_EVENTS:
		return (set_events(n, v));
	default:
		return (NVME_INVALID_FIELD);
	}
}

/* A feature's value in f. */
static uint16_t
feature(const struct nvme *n, struct nvme_features *f, uint32_t id, uint32_t cdw11, uint32_t *v)
{
	const uint16_t *t;

	switch (id) {
	case F_ARBITRATION:
		*v = f->arbitration;
		break;
	case F_POWER:
		*v = 0;
		break;
	case F_TEMPERATURE:
		t = threshold(f, cdw11, false);
		if (t == NULL)
			return (NVME_INVALID_FIELD);
		*v = *t;
		break;
	case F_RECOVERY:
		*v = f->recovery;
		break;
	case F_CACHE:
		*v = f->wce;
		break;
	case F_QUEUES:
		*v = (f->ncq - 1) << 16 | (f->nsq - 1);
		break;
	case F_COALESCING:
		*v = f->coalescing;
		break;
	case F_VECTOR:
		if ((cdw11 & 0xffff) >= n->nqueues)
			return (NVME_INVALID_FIELD);
		*v = (cdw11 & 0xffff) | (uint32_t)(f->uncoalesced >> (cdw11 & 0xffff) & 1) << 16;
		break;
	case F_ATOMICITY:
		*v = f->atomicity;
		break;
	case F_EVENTS:
		*v = f->events;
		break;
	default:
		return (NVME_INVALID_FIELD);
	}
	return (NVME_OK);
}

/* 5.12; what it asks of a feature: its value now, the default, the saved one, which is the default, or what can be done with it. */
static uint16_t
get_features(struct nvme *n, struct nvme_req *r)
{
	uint32_t id = r->cmd.cdw10 & 0xff, select = r->cmd.cdw10 >> 8 & 7;
	struct nvme_features now = n->features, def;
	uint16_t status;

	if (r->cmd.nsid > 1 && r->cmd.nsid != NVME_ALL)
		return (NVME_INVALID_NAMESPACE);
	if (select > 3)
		return (NVME_INVALID_FIELD);
	nvme_features_reset(n);
	def = n->features;
	n->features = now;
	status = feature(n, select == 0 ? &now : &def, id, r->cmd.cdw11, &r->result);
	if (select == 3 && status == NVME_OK)
		r->result = 0x4 | (id == F_RECOVERY ? 0x2 : 0);		/* changeable; for a namespace */
	return (status);
}

uint16_t
nvme_admin(struct nvme *n, struct nvme_req *r)
{
	if ((r->cmd.flags & (NVME_FLAGS_FUSE | NVME_FLAGS_PSDT)) != 0)
		return (NVME_INVALID_FIELD);
	switch (r->cmd.opcode) {
	case OP_DELETE_SQ:
		return (delete_sq(n, r));
	case OP_CREATE_SQ:
		return (create_sq(n, r));
	case OP_LOG_PAGE:
		return (nvme_log_page(n, r));
	case OP_DELETE_CQ:
		return (delete_cq(n, r));
	case OP_CREATE_CQ:
		return (create_cq(n, r));
	case OP_IDENTIFY:
		return (nvme_identify(n, r));
	case OP_ABORT:
		return (abort_command(n, r));
	case OP_SET_FEATURES:
		return (set_features(n, r));
	case OP_GET_FEATURES:
		return (get_features(n, r));
	case OP_EVENT_REQUEST:
		return (event_request(n, r));
	default:
		return (NVME_INVALID_OPCODE);
	}
}
