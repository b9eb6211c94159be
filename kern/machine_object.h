/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/machine_object.h - the object that stands for the machine: who has it with MANAGE may claim
 * interrupts and physical memory, and switch off.
 */
#pragma once

#include "kern/object.h"

struct kobj *machine_object(void);
