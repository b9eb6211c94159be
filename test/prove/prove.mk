# SPDX-License-Identifier: BSD-2-Clause
#
# test/prove/prove.mk - check the park protocol with spin, and that each weakening of it fails.
# Included by the top Makefile; works alone with make -f, from the top folder. docs/park-proof.md.

PROVE_OUT ?= build/prove

.PHONY: prove prove-long
prove: ## prove the park protocol (100 s on one core)
	$(Q)scripts/setup
	$(Q)test/prove/prove.py --out $(PROVE_OUT)

prove-long: ## prove it in larger scenarios too (10 minutes, 3 GB)
	$(Q)scripts/setup
	$(Q)test/prove/prove.py --out $(PROVE_OUT) --long
