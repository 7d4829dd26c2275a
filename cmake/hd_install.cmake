# What `make install` puts where, in the components that are Debian packages: the program, the library, its header.
install(TARGETS heddle LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library NAMELINK_COMPONENT headers)
if(TARGET heddle_cli)
  install(TARGETS heddle_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
endif()
if(TARGET heddle-kcheck)
  install(TARGETS heddle-kcheck RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
endif()
install(FILES "${PROJECT_SOURCE_DIR}/include/heddle/heddle.h" "${PROJECT_SOURCE_DIR}/include/heddle/index.h"
        "${PROJECT_SOURCE_DIR}/include/heddle/plugin.h" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/heddle
        COMPONENT headers)

# Written while installing: `cmake --install --prefix` may name another prefix than the one configured.
function(hd_install_configured template name destination component)
  install(CODE "
    set(CMAKE_INSTALL_BINDIR \"${CMAKE_INSTALL_BINDIR}\")
    set(CMAKE_INSTALL_LIBDIR \"${CMAKE_INSTALL_LIBDIR}\")
    set(CMAKE_INSTALL_INCLUDEDIR \"${CMAKE_INSTALL_INCLUDEDIR}\")
    set(PROJECT_DESCRIPTION \"${PROJECT_DESCRIPTION}\")
    set(PROJECT_VERSION \"${PROJECT_VERSION}\")
    configure_file(\"${PROJECT_SOURCE_DIR}/${template}\" \"${PROJECT_BINARY_DIR}/${name}\" @ONLY)" COMPONENT ${component})
  install(FILES "${PROJECT_BINARY_DIR}/${name}" DESTINATION ${destination} COMPONENT ${component})
endfunction()
hd_install_configured(cmake/heddle.pc.in heddle.pc ${CMAKE_INSTALL_LIBDIR}/pkgconfig headers)
hd_install_configured(packaging/heddle.service.in heddle.service lib/systemd/system program)
install(FILES "${PROJECT_SOURCE_DIR}/packaging/heddle.socket" DESTINATION lib/systemd/system COMPONENT program)

file(GLOB HD_MAN1 "${PROJECT_SOURCE_DIR}/docs/man/*.1")
file(GLOB HD_MAN3 "${PROJECT_SOURCE_DIR}/docs/man/*.3")
install(FILES ${HD_MAN1} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT program)
install(FILES ${HD_MAN3} DESTINATION ${CMAKE_INSTALL_MANDIR}/man3 COMPONENT headers)

include(hd_package)
