"""Makes a new model out of one: conversion and quantization."""
