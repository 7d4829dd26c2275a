# Before the packages are made: what Debian asks of each of them, copyright and changelog, and manual pages compressed.
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)
foreach(component ${CPACK_COMPONENTS_ALL})
  string(TOUPPER ${component} upper)
  set(package ${CPACK_DEBIAN_${upper}_PACKAGE_NAME})
  set(root "${CPACK_TEMPORARY_INSTALL_DIRECTORY}/${component}/usr")
  set(docs "${root}/share/doc/${package}")
  file(MAKE_DIRECTORY "${docs}")
  file(COPY "${CPACK_HD_PACKAGING}/copyright" DESTINATION "${docs}")
  file(WRITE "${docs}/changelog" "heddle (${CPACK_PACKAGE_VERSION}) unstable; urgency=medium\n\n"
       "  * Release ${CPACK_PACKAGE_VERSION}.\n\n -- ${CPACK_PACKAGE_CONTACT}  ${date}\n")
  file(GLOB_RECURSE pages "${root}/share/man/*.[13]")
  execute_process(COMMAND gzip -9n "${docs}/changelog" ${pages} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
