# Shortcuts for npm and Docker Compose; the README has both forms.
.PHONY: run test check up down logs

run: node_modules/.package-lock.json
	npm run dev

test: node_modules/.package-lock.json
	npm test

check: node_modules/.package-lock.json
	npm run check

up:
	docker compose up -d --build

down:
	docker compose down

logs:
	docker compose logs -f webhook-api

# npm writes this file when an install is complete.
node_modules/.package-lock.json: package.json package-lock.json
	npm ci
