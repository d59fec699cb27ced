/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * chip.c - what simple chips share: registers in one range, one interrupt line, one timer, a lock around all of it.
 */
#include "chip.h"
#include "error.h"
#include "line.h"

void
chip_settle(struct chip *chip)
{
	const struct chip_ops *ops = chip->ops;
	bool level = ops->level(chip);
	uint64_t count;

	if (!chip->active)
		return;
	if (level != chip->level) {
		chip->level = level;
		device_line(chip->dev, chip->irq, level);
	}
	if (ops->deadline == NULL)
		return;
	if (ops->deadline(chip, &count))
		(void)vm_timer_arm(chip->timer, count);
	else
		(void)vm_timer_disarm(chip->timer);
}

static void
catch_up(struct chip *chip)
{
	if (chip->ops->catch_up != NULL)
		chip->ops->catch_up(chip);
}

/* Library's thread. */
static void
timer_fired(void *arg)
{
	struct chip *chip = arg;

	TRACE(chip->dev->vmm->log, timer__fire, chip->dev->name);
	pthread_mutex_lock(&chip->lock);
	if (chip->active) {
		if (chip->ops->expire != NULL)
			chip->ops->expire(chip);
		else
			catch_up(chip);
		chip_settle(chip);
	}
	pthread_mutex_unlock(&chip->lock);
}

/* Registers */

static uint64_t
bytes_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct chip *chip = arg;
	uint64_t val = 0;
	uint8_t byte;

	pthread_mutex_lock(&chip->lock);
	catch_up(chip);
	for (unsigned i = 0; i < size; i++) {
		byte = off + i < chip->dev->cls->range_len ? (uint8_t)chip->ops->read(chip, off + i) : 0xff;
		val |= (uint64_t)byte << (8 * i);
		chip_settle(chip);
	}
	pthread_mutex_unlock(&chip->lock);
	return (val);
}

static void
bytes_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct chip *chip = arg;

	pthread_mutex_lock(&chip->lock);
	catch_up(chip);
	for (unsigned i = 0; i < size && off + i < chip->dev->cls->range_len; i++) {
		chip->ops->write(chip, off + i, (uint8_t)(val >> (8 * i)));
		chip_settle(chip);
	}
	pthread_mutex_unlock(&chip->lock);
}

static uint64_t
words_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct chip *chip = arg;
	uint64_t val;

	pthread_mutex_lock(&chip->lock);
	catch_up(chip);
	val = chip->ops->read(chip, off & ~3ULL) >> 8 * (off & 3);
	chip_settle(chip);
	pthread_mutex_unlock(&chip->lock);
	return (val & (UINT64_MAX >> (64 - 8 * size)));
}

static void
words_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct chip *chip = arg;

	pthread_mutex_lock(&chip->lock);
	catch_up(chip);
	if ((off & 3) == 0)
		chip->ops->write(chip, off, (uint32_t)val);
	chip_settle(chip);
	pthread_mutex_unlock(&chip->lock);
}

static const struct {
	uint64_t	(*read)(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size);
	void		(*write)(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val);
} buses[] = {
	[CHIP_BYTES] = { bytes_read, bytes_write },
	[CHIP_WORDS] = { words_read, words_write },
};

/* Life */

void
chip_fini(struct device *dev)
{
	struct chip *chip = dev->soft;

	vm_range_remove(chip->range);
	(void)vm_range_sync(dev->vmm->vm);
	vm_timer_close(chip->timer);
	if (chip->ops->close != NULL)
		chip->ops->close(dev);
	pthread_mutex_destroy(&chip->lock);
}

int
chip_init(struct device *dev, const struct chip_ops *ops)
{
	struct chip *chip = dev->soft;

	chip->ops = ops;
	chip->dev = dev;
	chip->irq = dev->place.irq[0];
	pthread_mutex_init(&chip->lock, NULL);
	chip->timer = vm_timer_open(dev->vmm->vm, ops->hz, timer_fired, chip);
	if (chip->timer == NULL) {
		(void)vmm_fail_vm("%s", dev->name);
		goto fail;
	}
	if (ops->open != NULL && ops->open(dev) != 0)
		goto fail;
	chip->range = device_claim(dev, dev->cls->range_len, buses[ops->bus].read, buses[ops->bus].write, chip);
	if (chip->range == NULL)
		goto fail;
	return (0);
fail:
	chip_fini(dev);
	return (-1);
}

void
chip_reset(struct device *dev)
{
	struct chip *chip = dev->soft;

	pthread_mutex_lock(&chip->lock);
	catch_up(chip);
	chip->ops->reset(chip);
	chip->level = false;
	(void)vm_irq_deassert(chip->irq);
	pthread_mutex_unlock(&chip->lock);
}

void
chip_pause(struct device *dev)
{
	struct chip *chip = dev->soft;

	pthread_mutex_lock(&chip->lock);
	/* Up to the moment at which the clock stopped; what that raises, the resume drives. */
	catch_up(chip);
	chip->active = false;
	(void)vm_timer_disarm(chip->timer);
	pthread_mutex_unlock(&chip->lock);
}

void
chip_resume(struct device *dev)
{
	struct chip *chip = dev->soft;

	pthread_mutex_lock(&chip->lock);
	chip->active = true;
	catch_up(chip);
	/* The handle may be at any level: drive it once in any case. */
	chip->level = !chip->ops->level(chip);
	chip_settle(chip);
	pthread_mutex_unlock(&chip->lock);
}
